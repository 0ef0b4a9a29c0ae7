"""One request for text, and the events of its answer, as every protocol and every engine sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage.core.contracts.receipts import Receipt

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as the server knows.

    Attributes:
        address: the client's network address, empty for the command line.
        user_agent: what the client says it is.
    """

    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.
        content: plain text; parts are joined by the route.
        name: the speaker's name where the client gave one.
    """

    role: str
    content: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; `None` leaves the choice to the defaults.

    Attributes:
        temperature: 0 is greedy.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the most likely tokens with this sum of probability, 0 to 1.
        min_p: drop tokens less likely than this share of the likeliest, 0 to 1.
        typical_p: locally typical sampling, 1 switches it off.
        repeat_penalty: divides the logits of recent tokens; 1 switches it off.
        repeat_last_n: how many recent tokens the penalties see; -1 is the whole context.
        presence_penalty: subtracted once for a recent token, -2 to 2.
        frequency_penalty: subtracted per occurrence, -2 to 2.
        seed: same seed, same text.
        logit_bias: token id to a number added to its logit.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request for text.

    Attributes:
        request_id: the id in logs, receipts and the `X-Request-Id` header.
        model: the name as the client wrote it.
        messages: the conversation, oldest first; empty where `prompt` is given.
        prompt: raw text that goes to the model as it stands, without the chat template.
        sampling: how tokens are chosen.
        max_tokens: the longest answer in tokens; `None` leaves it to the defaults, -1 is the context's rest.
        stop: the answer ends before the first of these strings.
        stream: whether the client reads the answer as it is made.
        keep_alive_s: how long the model stays loaded after the answer, in seconds; negative is for ever, 0
            unloads at once, `None` leaves it to the settings.
    """

    request_id: str
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer.

    Attributes:
        prompt_tokens: tokens of the prompt after templating, cached ones included.
        completion_tokens: tokens made, the one that ended the answer included.
        cached_tokens: prompt tokens that needed no computing.
        prefill_s: seconds from the start of prefill to the first token.
        decode_s: seconds from the first token to the last.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Started:
    """The model has taken the request: the prompt is tokenised and fits."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next piece of text: whole characters, never half of one.

    Attributes:
        text: may be empty while text is held back that could begin a stop string.
        tokens: how many tokens went into it.
    """

    text: str
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is complete. Engines leave `receipt` empty; the kernel fills it."""

    finish_reason: FinishReason
    usage: Usage
    receipt: Receipt | None = None


StreamEvent = Started | Chunk | Done
