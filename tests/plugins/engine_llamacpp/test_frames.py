"""Frames: what is packed on one side is what is taken on the other, however the bytes arrive."""

from __future__ import annotations

import socket
import threading
from types import MappingProxyType

import pytest

from hoshikage import ChatRequest, Message, Sampling
from hoshikage.core.errors import ContextOverflow, EngineFailed, InvalidRequest
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.process import error_of, generate_frame
from hoshikage.plugins.engine_llamacpp.worker.loop import Connection

READ_LIMIT_S = 10.0

INIT = frames.Init(
    path="/models/影.gguf",
    n_ctx=2048,
    n_batch=512,
    n_ubatch=256,
    prefill_chunk=128,
    max_num_seqs=4,
    n_threads=2,
    n_gpu_layers=-1,
    main_gpu=0,
    flash_attention="auto",
    cache_type_k="q8_0",
    cache_type_v="f16",
    use_mmap=True,
    use_mlock=False,
    nice=5,
)
GENERATE = frames.Generate(
    id=7,
    turns=[frames.Turn("user", "星🌟", "影"), frames.Turn("assistant", "")],
    prompt=None,
    sampling=frames.SamplingParams(seed=2**64 - 1, logit_bias={0: -100.0, 49151: 0.5}),
    max_tokens=-1,
    stop=["。", "\n\n"],
)
TO_WORKER = [INIT, GENERATE, frames.Cancel(7), frames.Stop()]
FROM_WORKER = [
    frames.Ready(8192, 2**40),
    frames.Failed("cannot be loaded: 壊れた"),
    frames.Begun(1, 12),
    frames.Refused(1, "", "context", 9000, 8192),
    frames.Refused(2, "no such token", "invalid", param="logit_bias"),
    frames.Step([frames.Delta(1, "星", 1), frames.Delta(2, "", 1, "length", 12, 5, 0.25, 0.5)]),
    frames.Log("warning", "a line"),
]


@pytest.fixture
def pair():
    """Both ends of a socket pair: the server's as it is, the worker's wrapped."""
    ours, theirs = socket.socketpair()
    ours.settimeout(READ_LIMIT_S)
    with ours, theirs:
        yield ours, Connection(theirs)


# --- packing ---


@pytest.mark.parametrize("frame", TO_WORKER, ids=lambda f: type(f).__name__)
def test_frames_to_the_worker_arrive_as_they_were(frame):
    """What the server packs, the worker decodes to the same frame."""
    assert frame == frames.to_worker.decode(body_of(frames.pack(frame)))


@pytest.mark.parametrize("frame", FROM_WORKER, ids=lambda f: type(f).__name__)
def test_frames_from_the_worker_arrive_as_they_were(frame):
    """What the worker packs, the server decodes to the same frame."""
    assert frame == frames.from_worker.decode(body_of(frames.pack(frame)))


# --- the worker's connection ---


def test_several_frames_in_one_read_are_all_taken(pair):
    """Frames that arrive together come out together, in order."""
    ours, connection = pair
    ours.sendall(b"".join(map(frames.pack, TO_WORKER)))

    assert TO_WORKER == connection.receive(wait=True)


def test_a_frame_in_many_reads_is_taken_once_it_is_whole(pair):
    """A frame that arrives byte by byte is one frame, and nothing comes before its last byte."""
    ours, connection = pair
    *beginning, last = frames.pack(GENERATE)

    early = []
    for byte in beginning:
        ours.sendall(bytes([byte]))
        early += connection.receive(wait=False)
    ours.sendall(bytes([last]))

    assert ([], [GENERATE]) == (early, connection.receive(wait=True))


def test_the_rest_of_a_read_is_kept_for_the_next_frame(pair):
    """A read that ends inside a frame loses nothing."""
    ours, connection = pair
    data = frames.pack(frames.Cancel(1)) + frames.pack(GENERATE)
    ours.sendall(data[:-3])
    first = connection.receive(wait=True)
    ours.sendall(data[-3:])

    assert ([frames.Cancel(1)], [GENERATE]) == (first, connection.receive(wait=True))


def test_a_frame_larger_than_one_read_is_taken(pair):
    """A prompt of several megabytes arrives whole."""
    ours, connection = pair
    frame = frames.Generate(1, [], "影" * 1_500_000, frames.SamplingParams(), None, [])
    sender = threading.Thread(target=ours.sendall, args=(frames.pack(frame),))
    sender.start()

    received = connection.receive(wait=True)
    sender.join()
    assert [frame] == received


def test_waiting_ends_when_the_server_goes_away(pair):
    """An idle worker notices that its server is gone."""
    ours, connection = pair
    ours.close()

    assert ([], True) == (connection.receive(wait=True), connection.closed)


def test_a_server_that_left_without_reading_is_gone_too(pair):
    """A reset of the connection is an ordinary end, not a failure of the worker."""
    ours, connection = pair
    connection.send(frames.Ready(1, 1))
    ours.close()

    assert ([], True) == (connection.receive(wait=True), connection.closed)


def test_sending_to_a_server_that_is_gone_closes_the_connection(pair):
    """The worker's loop ends by `closed`, not by an exception."""
    ours, connection = pair
    ours.close()
    connection.send(frames.Ready(1, 1))

    assert connection.closed


def test_not_waiting_returns_at_once(pair):
    """Between two steps the worker only takes what is there."""
    _, connection = pair

    assert ([], False) == (connection.receive(wait=False), connection.closed)


# --- requests and refusals as frames ---


def test_a_request_becomes_a_frame_with_every_default():
    """`None` in a request leaves the frame's default; what is given is taken over."""
    sampling = Sampling(temperature=0.0, top_k=5, seed=9, logit_bias=MappingProxyType({3: 1.5}))
    request = ChatRequest(
        "id", "m", (Message("user", "hi", "影"),), sampling=sampling, max_tokens=4, stop=("。",), stream=True
    )

    expected = frames.Generate(
        id=1,
        turns=[frames.Turn("user", "hi", "影")],
        prompt=None,
        sampling=frames.SamplingParams(temperature=0.0, top_k=5, seed=9, logit_bias={3: 1.5}),
        max_tokens=4,
        stop=["。"],
    )
    assert body_of(frames.pack(expected)) == body_of(frames.pack(generate_frame(1, request)))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (frames.Refused(1, "", "context", 9, 8), (ContextOverflow, "messages", {"n_prompt_tokens": 9, "n_ctx": 8})),
        (frames.Refused(1, "no", "invalid", param="logit_bias"), (InvalidRequest, "logit_bias", {})),
        (frames.Refused(1, "no", "failed"), (EngineFailed, None, {})),
    ],
    ids=lambda f: f.kind if isinstance(f, frames.Refused) else "",
)
def test_a_refusal_becomes_the_error_that_routes_know(frame, expected):
    """Each kind of refusal has its class, its parameter and its details."""
    error = error_of(frame)

    assert expected == (type(error), error.param, dict(error.details))


def body_of(data: bytes) -> bytes:
    """A packed frame without its length, which must be right."""
    (size,) = frames.LENGTH.unpack_from(data)
    body = data[frames.LENGTH.size :]
    assert size == len(body)
    return body
