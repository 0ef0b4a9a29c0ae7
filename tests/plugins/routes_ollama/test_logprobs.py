from __future__ import annotations

from hoshikage import TokenLogprob
from hoshikage.plugins.routes_ollama.logprobs import logprob_rows

HOSHI = "星".encode()


def test_a_token_has_text_number_and_bytes():
    """Each token has a row; without alternatives there is no list of them."""
    assert [
        {"token": " a", "logprob": -0.5, "bytes": [32, 97]},
        {"token": "b", "logprob": -1.0, "bytes": [98]},
    ] == logprob_rows([TokenLogprob(b" a", -0.5), TokenLogprob(b"b", -1.0)])


def test_alternatives_have_rows_of_their_own():
    """The likeliest first, as they came."""
    (row,) = logprob_rows([TokenLogprob(b"b", -1.0, (TokenLogprob(b"a", -0.5), TokenLogprob(b"b", -1.0)))])

    assert [("a", -0.5), ("b", -1.0)] == [(t["token"], t["logprob"]) for t in row["top_logprobs"]]


def test_half_a_character_keeps_its_bytes():
    """A token that is no whole character can be put together from its bytes."""
    rows = logprob_rows([TokenLogprob(HOSHI[:2], -1.0), TokenLogprob(HOSHI[2:], -1.0)])

    assert "星" == bytes(rows[0]["bytes"] + rows[1]["bytes"]).decode()


def test_what_cannot_be_has_a_number():
    """JSON has no infinity."""
    (row,) = logprob_rows([TokenLogprob(b"a", float("-inf"), (TokenLogprob(b"b", float("-inf")),))])

    assert (-9999.0, -9999.0) == (row["logprob"], row["top_logprobs"][0]["logprob"])
