"""Frames: what is packed on one side is what is taken on the other, however the bytes arrive."""

from __future__ import annotations

import socket
import threading

import pytest

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.connection import MAX_UNSENT, Connection

READ_LIMIT_S = 10.0

INIT = frames.Init(
    path="/models/影.gguf",
    n_ctx=2048,
    n_batch=512,
    n_ubatch=256,
    max_pause_s=0.5,
    max_num_seqs=4,
    n_threads=2,
    n_gpu_layers=-1,
    main_gpu=0,
    split_mode="row",
    tensor_split=[3.0, 1.0],
    flash_attention="auto",
    cache_type_k="q8_0",
    cache_type_v="f16",
    use_mmap=True,
    use_mlock=False,
    nice=5,
    max_cached_seqs=9,
    reuses_prefixes=True,
    lookup_tokens=8,
    draft_model="",
    draft_tokens=4,
    adapters={"haiku": "/models/haiku.gguf"},
    pooling="model",
)
GENERATE = frames.Generate(
    id=7,
    turns=[frames.Turn("user", "星🌟", "影"), frames.Turn("assistant", "")],
    prompt=None,
    sampling=frames.SamplingParams(seed=2**64 - 1, logit_bias={0: -100.0, 49151: 0.5}),
    max_tokens=-1,
    stop=["。", "\n\n"],
)
CONVERSATION = frames.Generate(
    id=8,
    turns=[
        frames.Turn("assistant", "", reasoning="hm", tool_calls=[frames.ToolCall("c1", "look", '{"at": "星"}')]),
        frames.Turn("tool", "bright", "look", tool_call_id="c1"),
    ],
    prompt=None,
    sampling=frames.SamplingParams(mirostat=2, dry_multiplier=0.8, dry_sequence_breakers=("\n",), ignore_eos=True),
    max_tokens=None,
    stop=[],
    tools=[frames.Tool("look", "Look up", {"type": "object", "properties": {"at": {"type": "string"}}})],
    template_variables={"enable_thinking": False, "n": 3},
    n=4,
    logprobs=20,
    constraint=frames.Constraint("regex", "[a-z]+", "format"),
    thinking=frames.Thinking("<think>", "</think>", 100),
    markers=["<tool_call>"],
    adapters=[frames.Adapter("haiku", 0.5)],
    scope="k",
    deadline_s=2.5,
)
INFILL = frames.Generate(9, [], [1, 2, 3], frames.SamplingParams(), 5, [], suffix="}")
TO_WORKER = [
    INIT,
    GENERATE,
    CONVERSATION,
    INFILL,
    frames.Embed(3, ["影", [1, 2]], truncate=True),
    frames.Rerank(4, "星", ["月", "日"]),
    frames.Tokenize(5, "影", special=False),
    frames.Detokenize(6, [0, 49151]),
    frames.Cancel(7),
    frames.Stop(),
]
TOP = frames.Logprob(b"\xe6", -0.5, [frames.Alternative(b"\xe6", -0.5), frames.Alternative(b"a", -1.5)])
ACCOUNT = frames.Account(12, 5, 8, 2, 4, 3, 1, 0.25, 0.5)
FROM_WORKER = [
    frames.Ready(8192, 2**40),
    frames.Failed("cannot be loaded: 壊れた"),
    frames.Begun(1, 12, "<think>\n"),
    frames.Refused(1, "", "context", 9000, 8192),
    frames.Refused(2, "no such token", "invalid", param="logit_bias"),
    frames.Refused(3, "too late", "deadline"),
    frames.Step(
        [frames.Delta(1, 0, "星", [7], [TOP]), frames.Delta(2, 3, "", [8], [], "length", ACCOUNT)],
        frames.Counters(steps=3, compute_s=0.5, cells_total=8192),
    ),
    frames.Embedded(3, 2, b"\x00" * 8, 4),
    frames.Scored(4, [0.5, -1.0], 9),
    frames.Tokenized(5, [1, 2]),
    frames.Detokenized(6, "影"),
    frames.Log("warning", "a line"),
]


@pytest.fixture
def pair():
    """Both ends of a socket pair: the server's as it is, the worker's wrapped."""
    ours, theirs = socket.socketpair()
    ours.settimeout(READ_LIMIT_S)
    with ours, theirs:
        connection = Connection(theirs)
        yield ours, connection
        connection.close()


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
    for _ in range(3 * MAX_UNSENT):  # nor does it wait for a reader that will never come
        connection.send(frames.Ready(1, 1))
    connection.close()

    assert connection.closed


def test_closing_sends_what_is_unsent(pair):
    """The last words of a worker arrive, in the order in which they were said."""
    ours, connection = pair
    sent = [frames.Begun(number, 1) for number in range(50)]
    for frame in sent:
        connection.send(frame)
    connection.close()

    expected = b"".join(frames.pack(frame) for frame in sent)
    received = b""
    while len(received) < len(expected):
        received += ours.recv(1 << 16)
    assert expected == received


def test_not_waiting_returns_at_once(pair):
    """Between two steps the worker only takes what is there."""
    _, connection = pair

    assert ([], False) == (connection.receive(wait=False), connection.closed)


def body_of(data: bytes) -> bytes:
    """A packed frame without its length, which must be right."""
    (size,) = frames.LENGTH.unpack_from(data)
    body = data[frames.LENGTH.size :]
    assert size == len(body)
    return body
