"""Which spaces get an index, and when one goes: decided without any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoshikage.plugins.memory.index.plan import Choice, due, stale, unwanted
from hoshikage.plugins.memory.index.records import Indexed, Space

AUTO = Choice("auto", 1000)
SPACE = Space(1, "owner", deletions=2, vectors=5000, newest=9000)
ROW = Indexed(1, embedder=7, deletions=2, newest=9000, count=5000, collection="c")


@pytest.mark.parametrize(
    ("choice", "vectors", "indexed", "way"),
    [
        (AUTO, 1000, False, "exact"),
        (AUTO, 1001, False, "chroma"),
        (AUTO, 900, True, "chroma"),  # it shrank a little
        (AUTO, 800, True, "exact"),
        (Choice("exact", 0), 10**6, True, "exact"),
        (Choice("chroma", 10**6), 1, False, "chroma"),
    ],
)
def test_the_way_of_a_space(choice, vectors, indexed, way):
    """By its size, unless the settings say it for all."""
    assert way == choice.way(vectors, indexed=indexed)


def test_an_index_is_due_where_there_is_none():
    """For large spaces, the largest first."""
    small, larger = replace(SPACE, number=2, vectors=10), replace(SPACE, number=3, vectors=6000)

    assert [larger, SPACE] == due([], [small, SPACE, larger], AUTO)


@pytest.mark.parametrize(("vectors", "newest", "count"), [(5000, 9000, 0), (5900, 9900, 0), (6001, 9901, 1)])
def test_an_index_is_due_again_when_much_has_come(vectors, newest, count):
    """What has come is searched exactly until it is more than a tenth, and a thousand."""
    assert count == len(due([ROW], [replace(SPACE, vectors=vectors, newest=newest)], AUTO))


def test_vectors_that_cannot_be_indexed_do_not_make_it_due_for_ever():
    """Where nothing came since, nothing is missing that another try could add."""
    assert [] == due([replace(ROW, count=10)], [SPACE], AUTO)


def test_stale_is_what_has_lost_something():
    """Any deletion counts, also that of the whole space."""
    assert [[], [ROW], [ROW]] == [stale([ROW], versions) for versions in ({(1, 2)}, {(1, 3)}, set())]


def test_unwanted_is_what_another_embedder_made_or_what_is_searched_exactly():
    """Its files would only lie about."""
    assert [[], [ROW], [ROW]] == [
        unwanted([ROW], [SPACE], embedder=7, choice=AUTO),
        unwanted([ROW], [SPACE], embedder=8, choice=AUTO),
        unwanted([ROW], [SPACE], embedder=7, choice=Choice("exact", 0)),
    ]
