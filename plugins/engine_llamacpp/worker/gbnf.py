"""GBNF grammars: checked here, followed by llama.cpp's own sampler."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from hoshikage.plugins.engine_llamacpp.worker.candidates import Candidates
from hoshikage.plugins.engine_llamacpp.worker.gbnf_check import check_gbnf
from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintFailed, ConstraintRefused
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

CHUNK = 2048
LONGEST_MASK_S = 1.0
_NUMBER = re.compile(r"<\[([0-9]{1,9})\]>")


class GbnfState:
    """An answer's way through a GBNF grammar.

    llama.cpp ends the process when it is told of a token that the grammar does not allow, so it is asked first, always.

    Raises:
        ConstraintRefused: the grammar is wrong, or could take llama.cpp too long.
    """

    # To ask for one token takes microseconds, to ask for the whole vocabulary as long as computing the next token.
    free_draws = 16

    def __init__(self, source: str, model: NativeModel) -> None:
        check_gbnf(source, lambda name: _is_token(name, model))
        self._model = model
        self._one = Candidates(1)
        self._grammar: Any = llama_cpp.llama_sampler_init_grammar(model.vocab, source.encode(), b"root")
        if not self._grammar:
            raise ConstraintRefused("llama.cpp cannot read the grammar")

    @property
    def finished(self) -> bool:
        """Never known for sure without looking at the whole vocabulary: the model itself has to end."""
        return False

    def try_accept(self, token: int) -> bool:
        """See `ConstraintState.try_accept`."""
        self._one.fill_ids([token])
        self._one.apply(self._grammar)
        if not self._one.possible().size:
            return False
        llama_cpp.llama_sampler_accept(self._grammar, token)
        return True

    def allowed(self) -> NDArray[np.int32]:
        """See `ConstraintState.allowed`."""
        deadline = time.monotonic() + LONGEST_MASK_S
        found: list[NDArray[np.int32]] = []
        chunk = Candidates(CHUNK)
        for start in range(0, self._model.n_vocab, CHUNK):
            chunk.fill_ids(np.arange(start, min(start + CHUNK, self._model.n_vocab), dtype=np.int32))
            chunk.apply(self._grammar)
            found.append(chunk.possible())
            if time.monotonic() > deadline:
                # Every reading of an ambiguous grammar is tried for every token, and readings can double with each one.
                raise ConstraintFailed("the grammar has too many readings of what was said; make it less ambiguous")
        return np.concatenate(found)

    def restart(self) -> None:
        """See `ConstraintState.restart`."""
        llama_cpp.llama_sampler_reset(self._grammar)

    def close(self) -> None:
        """Free llama.cpp's grammar. Idempotent."""
        if self._grammar is not None:
            llama_cpp.llama_sampler_free(self._grammar)
            self._grammar = None


def _is_token(name: str, model: NativeModel) -> bool:
    """Whether a grammar may name a token so: by its number, or by its text, which must be one token."""
    if (found := _NUMBER.fullmatch(name)) is not None:
        return int(found[1]) < model.n_vocab
    return not name.startswith("<[") and len(tokenize(model.vocab, name, add_special=False, parse_special=True)) == 1
