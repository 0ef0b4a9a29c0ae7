"""From the packets of a stream to a measured answer: a piece of text has the time of the packet that completed it."""

from __future__ import annotations

import bisect
import json
from typing import TYPE_CHECKING, Any

from benchmarks.answers import Answer
from benchmarks.client import chunks, split_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.client import Exchange

DATA = b"data: "


def read_answer(exchange: Exchange) -> Answer:
    """Read a streamed chat answer; a refusal becomes its error."""
    answer = Answer(exchange.began, exchange.ended)
    data = b"".join(packet for _, packet in exchange.packets)
    try:
        status, _, content = split_response(data)
    except OSError as error:
        answer.error = "" if exchange.cut else str(error)
        return answer
    if status != 200:
        answer.error = f"status {status}: {content[:300].decode('utf-8', 'replace')}"
        return answer
    complete = False
    for time, payload in timed_events(exchange.packets, data):
        if payload == b"[DONE]":
            complete = True
        else:
            _take(answer, time, json.loads(payload))
    if not complete and not exchange.cut and not answer.error:
        answer.error = "the stream ended without [DONE]"
    if not answer.counted:
        # Without counts of the server's own, a piece of text is taken for a token.
        answer.completion_tokens = len(answer.times)
    return answer


def timed_events(packets: list[tuple[float, bytes]], data: bytes) -> Iterator[tuple[float, bytes]]:
    """The payload of every event of a streamed response, with the time at which its last byte arrived."""
    ends: list[int] = []
    total = 0
    for _, packet in packets:
        total += len(packet)
        ends.append(total)
    begin = data.index(b"\r\n\r\n") + 4
    rest = b""
    for place, chunk in _parts(data[:begin], data[begin:]):
        *lines, rest = (rest + chunk).split(b"\n")
        time = packets[min(bisect.bisect_left(ends, begin + place), len(packets) - 1)][0]
        for line in lines:
            if line.startswith(DATA):
                yield time, line[len(DATA) :].strip()


def _parts(head: bytes, body: bytes) -> list[tuple[int, bytes]]:
    if b"chunked" in head.lower():
        return chunks(body)
    parts: list[tuple[int, bytes]] = []
    place = 0
    for line in body.splitlines(keepends=True):
        place += len(line)
        parts.append((place, line))
    return parts


def _take(answer: Answer, time: float, event: dict[str, Any]) -> None:
    if error := event.get("error"):
        answer.error = json.dumps(error)[:300]
        return
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        text = delta.get("content") or delta.get("reasoning_content") or choice.get("text") or ""
        if text:
            answer.text += text
            answer.times.append(time)
        for token in (choice.get("logprobs") or {}).get("content") or ():
            answer.pieces.append(_bytes_of(token))
    if usage := event.get("usage"):
        answer.counted = True
        answer.prompt_tokens = int(usage.get("prompt_tokens") or 0)
        answer.completion_tokens = int(usage.get("completion_tokens") or 0)
        answer.cached_tokens = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)


def _bytes_of(token: dict[str, Any]) -> bytes:
    as_bytes = token.get("bytes")
    return bytes(as_bytes) if as_bytes is not None else str(token.get("token", "")).encode()
