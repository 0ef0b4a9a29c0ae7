from __future__ import annotations

from hoshikage import TokenLogprob
from hoshikage.plugins.routes_openai.logprobs import CompletionLogprobs, chat_logprobs

HOSHI = "星".encode()


def test_a_chats_token_has_text_bytes_and_alternatives():
    """Each token has its text, its number, its bytes and the alternatives in their order."""
    top = (TokenLogprob(b" a", -0.25), TokenLogprob(b" b", -1.5))

    assert {
        "content": [
            {
                "token": " a",
                "logprob": -0.25,
                "bytes": [32, 97],
                "top_logprobs": [
                    {"token": " a", "logprob": -0.25, "bytes": [32, 97]},
                    {"token": " b", "logprob": -1.5, "bytes": [32, 98]},
                ],
            }
        ],
        "refusal": None,
    } == chat_logprobs([TokenLogprob(b" a", -0.25, top)])


def test_half_a_character_keeps_its_bytes():
    """A token that is no whole character can be put together from its bytes."""
    rows = chat_logprobs([TokenLogprob(HOSHI[:2], -1.0), TokenLogprob(HOSHI[2:], -1.0)])["content"]

    assert "星" == bytes(rows[0]["bytes"] + rows[1]["bytes"]).decode()
    assert "�" == rows[0]["token"]


def test_no_probability_is_a_number_that_json_has():
    """A token that cannot be has OpenAI's lowest number in place of minus infinity."""
    impossible = TokenLogprob(b"a", float("-inf"), (TokenLogprob(b"b", float("-inf")),))
    (row,) = chat_logprobs([impossible])["content"]

    assert (-9999.0, -9999.0) == (row["logprob"], row["top_logprobs"][0]["logprob"])
    assert [-9999.0] == CompletionLogprobs(0).body([impossible])["token_logprobs"]


def test_a_completion_has_four_lists():
    """Tokens, their numbers, alternatives by their text, and where each token begins."""
    top = (TokenLogprob(b"a", -0.5), TokenLogprob(b"b", -1.0))

    assert {
        "tokens": ["a", " star"],
        "token_logprobs": [-0.5, -2.0],
        "top_logprobs": [{"a": -0.5, "b": -1.0}, {}],
        "text_offset": [0, 1],
    } == CompletionLogprobs(2).body([TokenLogprob(b"a", -0.5, top), TokenLogprob(b" star", -2.0)])


def test_no_alternatives_are_null():
    """Who asks for none gets none."""
    assert CompletionLogprobs(0).body([TokenLogprob(b"a", -0.5)])["top_logprobs"] is None


def test_offsets_count_characters_across_chunks():
    """Offsets go on from chunk to chunk, and half characters count once they are whole."""
    counter = CompletionLogprobs(0)
    first = counter.body([TokenLogprob(b"ab", -1.0), TokenLogprob(HOSHI[:1], -1.0)])
    second = counter.body([TokenLogprob(HOSHI[1:], -1.0), TokenLogprob(b"c", -1.0)])

    assert [0, 2] == first["text_offset"]
    assert [2, 3] == second["text_offset"]


def test_bytes_are_spelled_where_there_is_no_text():
    """In this shape a token that is no text is spelled out."""
    assert ["bytes:\\xe6\\x98"] == CompletionLogprobs(0).body([TokenLogprob(HOSHI[:2], -1.0)])["tokens"]


def test_of_two_alternatives_with_one_text_the_likelier_stays():
    """Two tokens can be spelled alike; the list by text keeps the likelier."""
    top = (TokenLogprob(b"a", -0.5), TokenLogprob(b"b", -1.0), TokenLogprob(b"a", -2.0))

    assert [{"a": -0.5, "b": -1.0}] == CompletionLogprobs(3).body([TokenLogprob(b"a", -0.5, top)])["top_logprobs"]
