"""Who goes on after a worker's death, and who is to blame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp import frames, replay
from hoshikage.plugins.engine_llamacpp.replay import InFlight, Quarantine, Verdict, judge


def generate(number: int, prompt: str, **fields) -> frames.Generate:
    return frames.Generate(number, [], prompt, frames.SamplingParams(), None, [], **fields)


def test_after_one_death_everybody_goes_on():
    """It may have been nobody's fault."""
    assert Verdict(together=(1, 2)) == judge([InFlight(1, 1), InFlight(2, 1)])


def test_whoever_was_alone_with_the_second_death_is_guilty():
    """Nobody else can have done it."""
    assert Verdict(guilty=(1,)) == judge([InFlight(1, 2)])


def test_after_two_deaths_in_company_they_go_on_one_by_one():
    """Those who were there most often first; newcomers after them."""
    assert Verdict(one_by_one=(2, 3, 1)) == judge([InFlight(1, 1), InFlight(2, 3), InFlight(3, 2)])


def test_nobody_in_flight_is_nobody_to_blame():
    """A worker that dies idle."""
    assert Verdict() == judge([])


@given(st.lists(st.integers(1, 4), max_size=6))
def test_everybody_has_one_fate(deaths: list[int]):
    """Each request goes on in one way, or ends."""
    verdict = judge([InFlight(n, d) for n, d in enumerate(deaths)])

    fates = [*verdict.guilty, *verdict.together, *verdict.one_by_one]
    assert sorted(fates) == list(range(len(deaths)))


@given(st.integers(0, 5), st.integers(0, 4))
def test_the_innocent_are_never_refused(guilty: int, others: int):
    """Whoever kills every worker it meets is found, at the cost of one death more than alone, and nobody else is."""
    deaths = dict.fromkeys(range(others + 1), 0)
    flying, blamed, n_deaths = list(deaths), [], 0
    guilty = guilty % (others + 1)
    waiting: list[int] = []
    while guilty in flying or guilty in waiting:
        n_deaths += guilty in flying
        if guilty not in flying:  # one of the others ends in peace
            flying = [waiting.pop(0)]
            continue
        for number in flying:
            deaths[number] += 1
        verdict = judge([InFlight(n, deaths[n]) for n in flying])
        blamed += verdict.guilty
        flying, waiting = list(verdict.together), [*verdict.one_by_one, *waiting]
        if not flying and waiting:
            flying = [waiting.pop(0)]

    assert [guilty] == blamed
    assert (2 if not others else 3) >= n_deaths


def test_quarantine_knows_a_prompt_whatever_its_number():
    """The same question, asked again, is the same; another one, or another model, is not."""
    quarantine = Quarantine()
    quarantine.add("m", generate(1, "bad"))

    assert quarantine.holds("m", generate(2, "bad", so_far=[[1]], scope="x", deadline_s=3.0))
    assert not quarantine.holds("m", generate(1, "good"))
    assert not quarantine.holds("other", generate(1, "bad"))


def test_quarantine_is_bounded(monkeypatch):
    """The oldest is forgotten."""
    monkeypatch.setattr(replay, "MAX_REMEMBERED", 2)
    quarantine = Quarantine()
    for text in ("a", "b", "c"):
        quarantine.add("m", generate(1, text))

    assert [False, True, True] == [quarantine.holds("m", generate(1, t)) for t in ("a", "b", "c")]
