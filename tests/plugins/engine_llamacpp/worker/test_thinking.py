"""Where thinking begins and ends, and how it is cut short."""

from __future__ import annotations

import pytest

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.thinking import ThinkingState

pytestmark = pytest.mark.model


@pytest.fixture
def begin(letters):
    """Begin an answer. The marker `<think>` is seven tokens here, `<|im_start|>` is one."""

    def begin(*, tail: str = "", budget: int = -1, opener: str = "<think>", closer: str = "</think>") -> ThinkingState:
        return ThinkingState(frames.Thinking(opener, closer, budget), model=letters.model, prompt_tail=tail)

    return begin


@pytest.fixture
def say(letters):
    """Let the model say a text, as far as nothing else is forced; return all that came out."""

    def say(state: ThinkingState, text: str) -> str:
        tokens = []
        for token in letters.ids(text):
            while (forced := state.forced()) is not None:
                state.push(forced)
                tokens.append(forced)
            state.push(token)
            tokens.append(token)
        return letters.text(tokens).decode()

    return say


def test_the_prompt_can_have_opened_it(begin):
    """As DeepSeek's templates do; white space after the marker does not matter."""
    assert begin(tail="<assistant><think>\n").open
    assert not begin(tail="<think>\n\n</think>\n\n").open
    assert not begin(tail="").open


def test_markers_of_many_tokens_are_found(begin, say):
    """Thinking is what stands between them; the marker that closes it is not counted when it is one token."""
    state = begin()

    say(state, "<think>")
    assert state.open
    say(state, "hm")
    assert 2 == state.n_tokens
    say(state, "</think>")
    assert not state.open


def test_markers_of_one_token_are_found(begin, say):
    """They have no text of their own in an answer, only a name."""
    state = begin(opener="<|im_start|>", closer="<|im_end|>")

    say(state, "<|im_start|>abc<|im_end|>d")

    assert not state.open
    assert 3 == state.n_tokens


def test_thinking_can_begin_again(begin, say):
    """Models think between calls of tools."""
    state = begin(tail="<think>")

    say(state, "a</think>b<think>c")

    assert state.open


def test_a_spent_budget_closes_it(begin, say):
    """The marker comes after so many tokens, and is not counted."""
    state = begin(tail="<think>", budget=3)

    assert "abc</think>de" == say(state, "abcde")
    assert 3 == state.n_tokens
    assert not state.open


def test_a_budget_of_nothing_closes_it_at_once(begin, say):
    """As Qwen's own template writes it where it shall not think: on lines of their own."""
    state = begin(tail="<think>\n", budget=0)

    assert "\n</think>\n\nyes" == say(state, "yes")
    assert 0 == state.n_tokens


def test_markers_are_closed_as_they_were_opened(begin, say):
    """Where the model begins a line after the marker, the forced one gets lines as well."""
    state = begin(budget=4)

    assert "<think>\nabc\n</think>\n\nd" == say(state, "<think>\nabcd")


def test_a_budget_holds_for_all_thinking_together(begin, say):
    """Thinking that begins again when the budget is spent ends at once."""
    state = begin(tail="<think>", budget=2)

    assert "ab</think>c<think></think>d" == say(state, "abc<think>d")


def test_the_opening_marker_is_known_from_its_first_token(begin, letters):
    """But only at the very beginning of the answer."""
    state = begin()
    first, second, *_ = letters.ids("<think>")

    assert state.may_open_with(first)
    assert not state.may_open_with(second)
    state.push(first)
    assert state.may_open_with(second)
    state.push(first)
    assert not state.may_open_with(second)


def test_an_opening_marker_can_be_completed(begin, letters):
    """What is left of it is forced."""
    state = begin()
    first, *rest = letters.ids("<think>")
    state.begin()

    forced = []
    while (token := state.forced()) is not None:
        state.push(token)
        forced.append(token)

    assert [first, *rest] == forced
    assert state.open


@pytest.mark.parametrize(("opener", "closer"), [("", ""), ("<think>", ""), ("", "</think>")])
def test_half_a_pair_of_markers_does_no_harm(begin, say, opener, closer):
    """What cannot be closed is never opened; without an opening marker, thinking comes first."""
    state = begin(opener=opener, closer=closer)

    assert bool(closer) == state.open
    say(state, f"{opener}abc{closer}d")
    assert not state.open
