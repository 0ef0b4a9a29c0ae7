from __future__ import annotations

import json

import pytest

from hoshikage.plugins.routes_ollama.calls import CallCollector, OpenCall, finished
from tests.plugins.routes_ollama.made import call_deltas

TOKYO = {"id": "call_0", "function": {"index": 0, "name": "weather", "arguments": {"city": "東京"}}}
NOW = {"id": "call_1", "function": {"index": 1, "name": "now", "arguments": {}}}


def test_a_call_comes_whole():
    """Its pieces give nothing until the answer has ended, then one object with arguments as an object."""
    collector = CallCollector()
    pieces = [collector.add([delta]) for delta in call_deltas(0, "weather", '{"ci', 'ty": "東', '京"}')]

    assert [()] * 4 == [piece.rows for piece in pieces]
    assert ((TOKYO,), "") == ((end := collector.end()).rows, end.text)
    assert () == collector.end().rows


def test_a_call_ends_where_the_next_begins():
    """Clients get a call as soon as it is certain that nothing is added to it."""
    collector = CallCollector()
    collector.add(call_deltas(0, "weather", '{"city": "東京"}'))

    assert (TOKYO,) == collector.add(call_deltas(1, "now")).rows
    assert (NOW,) == collector.end().rows


def test_calls_in_one_piece_keep_their_order():
    """A parser may give everything at once."""
    collector = CallCollector()
    deltas = [*call_deltas(0, "weather", '{"city": "東京"}'), *call_deltas(1, "now", "{}"), *call_deltas(2, "now")]

    assert (TOKYO, NOW) == collector.add(deltas).rows
    assert [2] == [row["function"]["index"] for row in collector.end().rows]


@pytest.mark.parametrize("arguments", ['{"city": "To', '{"city": }', "[1]", '"Tokyo"', "null", '{"a": 1,}'])
def test_what_cannot_be_read_is_shown_as_text(arguments: str):
    """Arguments must be an object: a call that was cut off or is broken is not lost, it is what the model wrote."""
    done = finished([OpenCall(0, "call_0", "weather", [arguments]), OpenCall(1, "call_1", "now")])

    assert (NOW,) == done.rows
    assert '{"name": "weather", "arguments": ' + arguments == done.text


def test_nothing_is_nothing():
    """An answer without calls has none."""
    assert ((), "") == ((end := CallCollector().end()).rows, end.text)


def test_a_row_is_json():
    """What comes out can be written, in one line, whatever the model put between the brackets."""
    (row,) = finished([OpenCall(0, "i", "f", ['{\n "a": "\\n",\n "b": 123456789012345678901234567890}'])]).rows

    assert "\n" not in json.dumps(row)
    assert pytest.approx(1.2345678901234568e29) == row["function"]["arguments"]["b"]
