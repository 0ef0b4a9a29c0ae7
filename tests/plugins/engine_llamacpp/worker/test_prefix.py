"""Which running sequence gives its beginning to one that joins, and how much of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker.prefix import best_donor, common_length
from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


def sequence(tokens: list[int], n_computed: int) -> Sequence:
    return Sequence(1, tokens, len(tokens), 10, n_computed=n_computed, slot=0)


@given(TOKENS, TOKENS, st.integers(0, 15))
def test_the_common_length_is_common_and_cannot_be_longer(one: list[int], other: list[int], limit: int):
    """Up to the length both agree; after it they differ, or the limit or an end is reached."""
    length = common_length(one, other, limit)

    assert one[:length] == other[:length]
    assert length in {limit, len(one), len(other)} or one[length] != other[length]


@given(TOKENS, st.lists(st.tuples(TOKENS, st.integers(0, 12)), max_size=5))
def test_the_longest_computed_beginning_is_taken(tokens: list[int], others: list[tuple[list[int], int]]):
    """Nobody has more in common than the donor; what is not computed and the last token are never shared."""
    running = [sequence(other, min(computed, len(other))) for other, computed in others]
    donor, length = best_donor(tokens, running)

    bounds = [common_length(tokens, s.tokens, min(len(tokens) - 1, s.n_computed)) for s in running]
    assert length == max(bounds, default=0)
    assert (donor is None) == (length == 0)
    assert length <= len(tokens) - 1


def test_what_is_not_computed_is_not_shared():
    """A prompt that has only been half computed gives that half."""
    half = sequence([1, 2, 3, 4], 2)

    assert (half, 2) == best_donor([1, 2, 3, 4, 5], [half])


def test_an_equal_prompt_still_computes_its_last_token():
    """Without computing a token there would be nothing to choose the next one from."""
    whole = sequence([1, 2, 3], 3)

    assert (whole, 2) == best_donor([1, 2, 3], [whole])
