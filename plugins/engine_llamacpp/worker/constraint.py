"""Constraints: which tokens may come next, so that the whole answer has the form that was asked for."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

import llama_cpp
import llguidance
import llguidance.llamacpp
import numpy as np

from hoshikage.plugins.engine_llamacpp.worker.gbnf import GbnfState
from hoshikage.plugins.engine_llamacpp.worker.lark import prepare_lark
from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintFailed, ConstraintRefused
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llguidance._lib import JsonCompileOptions
    from numpy.typing import NDArray

    from hoshikage.plugins.engine_llamacpp import frames
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

__all__ = ["ConstraintFailed", "ConstraintRefused", "ConstraintState", "Grammars"]

# Between two tokens of JSON: nothing, a space, or one line break with its indentation. With any white space allowed, a
# model that samples hot writes it for ever. What llguidance does not understand is refused, not ignored.
JSON_OPTIONS: JsonCompileOptions = {
    "whitespace_pattern": r"(\n[ \t]{0,20}| )",
    "lenient": False,
    "coerce_one_of": False,
}
LONGEST_SOURCE = 256 * 1024  # characters; llguidance takes up to half a second for a schema of this size
KEPT_GRAMMARS = 32


class ConstraintState(Protocol):
    """How far one answer has come in its form.

    Attributes:
        free_draws: how often to draw from the whole vocabulary before `allowed` is the cheaper way.
    """

    free_draws: int

    @property
    def finished(self) -> bool:
        """Whether nothing may follow but the end."""
        ...

    def try_accept(self, token: int) -> bool:
        """Take a token if it may come next.

        Raises:
            ConstraintFailed: the grammar cannot be followed any further.
        """
        ...

    def allowed(self) -> NDArray[np.int32]:
        """The tokens that may come next; none where the grammar has no way on.

        Raises:
            ConstraintFailed: the grammar cannot be followed any further.
        """
        ...

    def restart(self) -> None:
        """Forget what was accepted."""
        ...

    def close(self) -> None:
        """Free what the state holds. Idempotent."""
        ...


class Grammars:
    """Turns constraints into states; keeps the vocabulary, and the grammars that were compiled last."""

    def __init__(self, model: NativeModel) -> None:
        self._model = model
        self._vocabulary: _Vocabulary | None = None
        self._compiled: OrderedDict[tuple[str, str, tuple[str, ...]], llguidance.LLMatcher] = OrderedDict()

    def start(self, constraint: frames.Constraint, markers: Sequence[str] = ()) -> ConstraintState:
        """Begin an answer of this form.

        Args:
            constraint: the form.
            markers: texts in a Lark grammar that stand for the vocabulary's special token of that name.

        Raises:
            ConstraintRefused: with the reason.
        """
        length = len(constraint.source)
        if length > LONGEST_SOURCE:
            raise ConstraintRefused(f"it has {length} characters; at most {LONGEST_SOURCE} are allowed")
        if constraint.kind == "gbnf":
            return GbnfState(constraint.source, self._model)
        if self._vocabulary is None:
            self._vocabulary = _Vocabulary(self._model)
        return GuidedState(self._matcher(constraint, tuple(markers), self._vocabulary), self._vocabulary)

    def _matcher(
        self, constraint: frames.Constraint, markers: tuple[str, ...], vocabulary: _Vocabulary
    ) -> llguidance.LLMatcher:
        key = (constraint.kind, constraint.source, markers)
        matcher = self._compiled.pop(key, None) or _compile(constraint, markers, vocabulary)
        self._compiled[key] = matcher
        if len(self._compiled) > KEPT_GRAMMARS:
            self._compiled.popitem(last=False)
        return matcher.deep_copy()


class GuidedState:
    """A way through a grammar of llguidance."""

    free_draws = 1

    def __init__(self, matcher: llguidance.LLMatcher, vocabulary: _Vocabulary) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    @property
    def finished(self) -> bool:
        """See `ConstraintState.finished`."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def try_accept(self, token: int) -> bool:
        """See `ConstraintState.try_accept`."""
        if token in self._vocabulary.ends and self._matcher.is_accepting():
            return True
        accepted = self._matcher.try_consume_tokens([token]) == 1
        if not accepted:
            self._check()
        return accepted

    def allowed(self) -> NDArray[np.int32]:
        """See `ConstraintState.allowed`."""
        bits = self._vocabulary.bits
        self._matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        self._check()
        flags = np.unpackbits(bits.view(np.uint8), count=self._vocabulary.n_tokens, bitorder="little")
        return np.flatnonzero(flags).astype(np.int32)

    def restart(self) -> None:
        """See `ConstraintState.restart`."""
        self._matcher.reset()

    def close(self) -> None:
        """Nothing to free: llguidance's objects are Python's."""

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintFailed(self._matcher.get_error())


class _Vocabulary:
    """A model's tokens as llguidance knows them. Making it takes about half a second for 50,000 tokens."""

    def __init__(self, model: NativeModel) -> None:
        self.n_tokens = model.n_vocab
        self.ends = model.end_tokens
        if not self.ends:
            raise ConstraintRefused("this model has no token that ends an answer, so no answer could ever be complete")
        self.tokenizer = llguidance.llamacpp.lltokenizer_from_vocab(model.vocab, eos_token=sorted(self.ends))
        # Room for a mask. One thread chooses for all sequences, and reads the mask before it makes the next one.
        self.bits = np.zeros((model.n_vocab + 31) // 32, np.uint32)
        self._model = model

    def special(self, text: str) -> int | None:
        """The one token that the vocabulary sets apart for a text."""
        tokens = tokenize(self._model.vocab, text, add_special=False, parse_special=True)
        if len(tokens) != 1 or self._model.piece(tokens[0], special=True) != text.encode():
            return None
        kinds = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        return tokens[0] if llama_cpp.llama_vocab_get_attr(self._model.vocab, tokens[0]) & kinds else None


def _compile(constraint: frames.Constraint, markers: tuple[str, ...], vocabulary: _Vocabulary) -> llguidance.LLMatcher:
    # With verbose errors, llguidance writes what was said so far into them.
    limits = llguidance.LLParserLimits(verbose_errors=False)
    grammar = _grammar(constraint, markers, vocabulary)
    matcher = llguidance.LLMatcher(vocabulary.tokenizer, grammar, log_level=0, limits=limits)
    if matcher.is_error():
        raise ConstraintRefused(matcher.get_error())
    return matcher


def _grammar(constraint: frames.Constraint, markers: tuple[str, ...], vocabulary: _Vocabulary) -> str:
    source = constraint.source
    match constraint.kind:
        case "json_object":
            return _json_grammar('{"type": "object"}')
        case "json_schema":
            return _json_grammar(source)
        case "regex":
            return llguidance.LLMatcher.grammar_from_regex(source)
        case "choice":
            return llguidance.LLMatcher.grammar_from_lark(_choice(source))
        case _:
            special = {marker: token for marker in markers if (token := vocabulary.special(marker)) is not None}
            return llguidance.LLMatcher.grammar_from_lark(prepare_lark(source, special, JSON_OPTIONS))


def _json_grammar(schema: str) -> str:
    try:
        return llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=JSON_OPTIONS)
    except ValueError as error:
        raise ConstraintRefused(f"this is no JSON schema: {error}") from error


def _choice(source: str) -> str:
    try:
        texts = json.loads(source)
    except ValueError as error:
        raise ConstraintRefused(f"this is no JSON array: {error}") from error
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ConstraintRefused("this must be an array of one or more strings")
    return f"start: {' | '.join(json.dumps(text, ensure_ascii=False) for text in texts)}"
