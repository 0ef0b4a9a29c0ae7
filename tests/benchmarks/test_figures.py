"""The arithmetic of the benchmark."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Figure, Sample, Target, figure, medians, percentile
from benchmarks.rows import all_rows
from benchmarks.targets import TARGETS

numbers = st.floats(min_value=-1e6, max_value=1e6)


def samples(who: str, *values: float, name: str = "speed") -> list[Sample]:
    return [Sample(who, number, {name: value}) for number, value in enumerate(values, 1)]


def target(bound: str = "at least", limit: float = 1.0, against: str = "peer") -> Target:
    return Target("row", "title", "speed", bound, limit, against, "us")


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 2.5), (95, 3.85), (100, 4.0)])
def test_percentile_lies_between_its_neighbours(percent: float, expected: float):
    """A percentile between two values is interpolated."""
    assert expected == pytest.approx(percentile([4.0, 1.0, 3.0, 2.0], percent))


@given(st.lists(numbers, min_size=1), st.floats(min_value=0, max_value=100))
def test_percentile_stays_within_the_values(values: list[float], percent: float):
    """No percentile is outside of what was measured."""
    assert min(values) <= percentile(values, percent) <= max(values)


def test_percentile_of_nothing_is_no_number():
    """Nothing measured is not zero."""
    assert math.isnan(percentile([], 50))


def test_medians_are_per_contestant_and_value():
    """One slow round does not move the median."""
    found = medians([*samples("a", 1.0, 100.0, 2.0), *samples("b", 5.0)])

    assert {"a": {"speed": 2.0}, "b": {"speed": 5.0}} == found


def test_a_ratio_pairs_the_rounds():
    """A slow round of the machine meets both sides, so it does not change the ratio."""
    found = figure(target(), {"row": [*samples("us", 10.0, 1.0, 20.0), *samples("peer", 5.0, 0.5, 10.0)]})

    assert [2.0, 2.0, 2.0] == found.rounds


def test_a_round_that_one_side_missed_is_left_out():
    """Without a partner there is no ratio."""
    found = figure(target(), {"row": [*samples("us", 10.0, 12.0), Sample("peer", 2, {"speed": 6.0})]})

    assert [2.0] == found.rounds


def test_a_value_can_stand_alone():
    """A figure in seconds is compared with nobody."""
    found = figure(target("at most", 1.0, against=""), {"row": samples("us", 0.5, 0.9, 0.7)})

    assert (0.7, True) == (found.value, found.met)


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [("at least", 1.0, True), ("at least", 0.99, False), ("at most", 1.0, True), ("at most", 1.01, False)],
)
def test_a_figure_is_met_up_to_its_limit(bound: str, value: float, met: bool):
    """The limit itself is enough."""
    assert met is Figure(target(bound), [value]).met


def test_what_was_not_measured_is_neither_met_nor_missed():
    """An absent peer says nothing about us."""
    found = figure(target(), {"row": samples("us", 1.0)})

    assert (None, None) == (found.value, found.met)


def test_every_target_belongs_to_a_row_that_exists():
    """A target whose row is never run would never be missed."""
    assert {t.row for t in TARGETS} <= {row.name for row in all_rows()}
