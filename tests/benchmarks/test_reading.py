"""From packets to measured answers."""

from __future__ import annotations

import asyncio
import json

import pytest

from benchmarks.answers import Answer, longest_gap, stream_values
from benchmarks.client import Exchange, chunks, exchange_all, fetch, request_bytes, split_response
from benchmarks.reading import read_answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def piece(text: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}}])


def usage() -> bytes:
    return event(
        choices=[], usage={"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    )


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def exchange(*packets: bytes, cut: bool = False) -> Exchange:
    made = Exchange(b"", began=1.0, ended=9.0, cut=cut)
    made.packets = [(1.0 + number, packet) for number, packet in enumerate(packets, 1)]
    return made


async def test_each_piece_has_the_time_of_its_packet():
    """A role without text is no token; text counts when its packet arrives."""
    role = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
    answer = read_answer(
        exchange(
            HEAD,
            chunk(role),
            chunk(piece("a")),
            chunk(piece("b")) + chunk(usage()),
            chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
        )
    )

    assert ("ab", [4.0, 5.0], "") == (answer.text, answer.times, answer.error)
    assert (9, 2, 4) == (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens)
    assert 3.0 == answer.first_token_s


async def test_events_may_be_cut_anywhere():
    """However the network cuts the bytes, the same text comes out."""
    whole = HEAD + chunk(piece("é")[:20]) + chunk(piece("é")[20:] + piece("x")) + chunk(usage() + b"data: [DONE]\n\n")
    for place in range(1, len(whole)):
        answer = read_answer(exchange(whole[:place], whole[place:]))

        assert ("éx", "", 2) == (answer.text, answer.error, answer.completion_tokens)


async def test_a_response_without_chunks_is_read_too():
    """Some servers close the connection instead."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    answer = read_answer(exchange(head + piece("a"), piece("b") + b"data: [DONE]\n\n"))

    assert ("ab", [2.0, 3.0]) == (answer.text, answer.times)


async def test_without_counts_pieces_are_tokens():
    """A server that reports no usage is still measured."""
    answer = read_answer(exchange(HEAD, chunk(piece("a")), chunk(piece("b")), chunk(b"data: [DONE]\n\n")))

    assert (2, False) == (answer.completion_tokens, answer.counted)


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        ((b"HTTP/1.1 503 Busy\r\n\r\n{}",), "status 503"),
        ((HEAD, chunk(piece("a"))), "without [DONE]"),
        ((HEAD, chunk(event(error={"message": "broken"}))), "broken"),
        ((), "without a response"),
    ],
)
async def test_what_went_wrong_is_the_answers_error(packets: tuple[bytes, ...], words: str):
    """A refusal, a broken stream and a closed connection are not measured as answers."""
    assert words in read_answer(exchange(*packets)).error


async def test_a_stream_that_we_cut_is_no_error():
    """Leaving early is part of some work."""
    assert "" == read_answer(exchange(HEAD, chunk(piece("a")), cut=True)).error


def test_incomplete_chunks_are_left_out():
    """What has not arrived is not there."""
    data = chunk(b"abc") + b"5\r\nxy"

    assert [b"abc"] == [content for _, content in chunks(data)]


def test_a_whole_response_is_taken_apart():
    """Status, headers, body."""
    assert (200, b"ab") == split_response(HEAD + chunk(b"a") + chunk(b"b") + b"0\r\n\r\n")[::2]


def test_the_longest_gap_counts_from_a_moment_on():
    """What was silent before does not matter."""
    assert 3.0 == longest_gap([0.0, 3.0, 4.0, 6.0])
    assert 2.0 == longest_gap([0.0, 3.0, 4.0, 6.0], since=3.5)
    assert 0.0 == longest_gap([1.0])


def test_the_whole_work_is_from_the_first_request_to_the_last_end():
    """Tokens per second are those of all streams by the whole time."""
    answers = [Answer(0.0, 4.0, [1.0, 4.0], completion_tokens=6), Answer(1.0, 5.0, [3.0, 5.0], completion_tokens=4)]
    values = stream_values(answers)

    assert (5.0, 2.0, 1.5, 3.0) == tuple(values[k] for k in ("seconds", "tokens_per_s", "ttft_p50_s", "longest_gap_s"))


async def test_many_requests_run_side_by_side():
    """All connections are open before any answer is complete."""
    waiting: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        waiting.append(writer)
        if len(waiting) == 3:
            for each in waiting:
                each.write(HEAD + chunk(piece("hi")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
                each.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await exchange_all(f"http://127.0.0.1:{port}/x", [{}] * 3, limit_s=5)

    assert ["hi"] * 3 == [read_answer(each).text for each in found]
    assert [2] * 3 == [each.events + 1 for each in found]


async def test_a_caller_may_leave_after_some_events():
    """The server sees the connection go."""
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        try:
            while True:
                writer.write(chunk(piece("a")))
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            gone.set()

    from benchmarks.client import open_exchange, request_bytes

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        opened = await open_exchange(url, request_bytes(url, {}), stop_after=3)
        async with asyncio.timeout(5):
            await opened.done
            await gone.wait()

    assert opened.cut
    assert opened.events >= 3


async def test_a_response_that_never_ends_has_a_limit():
    """A server that hangs does not hang the benchmark."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        with pytest.raises(TimeoutError):
            await fetch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", limit_s=0.1)


def test_a_request_has_its_query_and_headers():
    """What is asked for is what is sent."""
    request = request_bytes("http://127.0.0.1:1/v1/memories?q=cat", None, method="GET", headers={"X-A": "b"})

    assert request.startswith(b"GET /v1/memories?q=cat HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    assert b"\r\nX-A: b\r\n" in request
