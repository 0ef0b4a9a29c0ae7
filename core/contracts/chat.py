"""One request for text, and the events of its answer, as every protocol and every engine sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hoshikage.core.contracts.memory import MemoryUse
from hoshikage.core.contracts.tools import ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage.core.contracts.constraints import Constraint
    from hoshikage.core.contracts.receipts import Receipt
    from hoshikage.core.contracts.tools import Tool, ToolCall, ToolCallDelta

FinishReason = Literal["stop", "length", "tool_calls"]
Effort = Literal["minimal", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as the server knows.

    Attributes:
        address: the client's network address, empty for the command line.
        user_agent: what the client says it is.
        key: tells callers apart, e.g. a fingerprint of the key they sent; never the key itself.
        memory: what the request says of long-term memory, beside its body.
    """

    address: str = ""
    user_agent: str = ""
    key: str = ""
    memory: MemoryUse = field(default_factory=MemoryUse)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.
        content: plain text; parts are joined by the route.
        name: the speaker's name where the client gave one; of a tool's result, the tool.
        reasoning: what the assistant thought before it answered.
        tool_calls: what the assistant asked to be called.
        tool_call_id: of a tool's result, the call that it answers.
    """

    role: str
    content: str
    name: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


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
        dry_multiplier: strength of DRY, which makes repeated sequences less likely; 0 switches it off.
        dry_base: how fast DRY grows with the length of the repetition.
        dry_allowed_length: the longest repetition that DRY lets pass, in tokens.
        dry_penalty_last_n: how many recent tokens DRY sees; -1 is the whole context.
        dry_sequence_breakers: strings that no repetition reaches across.
        xtc_probability: how often XTC drops the likeliest tokens, 0 to 1; 0 switches it off.
        xtc_threshold: XTC drops all but the least likely of the tokens over this probability.
        mirostat: 2 keeps the surprise near `mirostat_tau` in place of top_k, top_p and the like; 0 is off.
        mirostat_tau: the surprise to keep, in bits.
        mirostat_eta: how fast mirostat learns.
        seed: same seed, same text.
        logit_bias: token id to a number added to its logit.
        ignore_eos: go on until the length limit.
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
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: tuple[str, ...] | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Thinking:
    """How much a model thinks before it answers; `None` leaves it to the model.

    Attributes:
        enabled: whether it thinks at all.
        effort: how hard, for models whose template knows such a word.
        budget_tokens: after so many tokens of thinking it is made to answer.
    """

    enabled: bool | None = None
    effort: Effort | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter of the model, by the name it has in the model's options, and its strength."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Directions:
    """What the model's chat format asks of the engine; the kernel fills it in, routes leave it empty.

    Attributes:
        think_open: the text that begins thinking; empty where the model does not think.
        think_close: the text that ends it. A constraint holds from there on, and a budget ends with it.
        markers: texts that are tokens of their own in the model's vocabulary, and must come out as text.
        template_variables: what the chat template gets besides messages and tools.
    """

    think_open: str = ""
    think_close: str = ""
    markers: tuple[str, ...] = ()
    template_variables: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request for text.

    Attributes:
        request_id: the id in logs, receipts and the `X-Request-Id` header.
        model: the name as the client wrote it.
        messages: the conversation, oldest first; empty where `prompt` is given.
        prompt: raw text, or token ids, that goes to the model as it stands, without the chat template.
        suffix: with `prompt`, the text after the gap that the model is to fill in.
        sampling: how tokens are chosen.
        max_tokens: the longest answer in tokens; `None` leaves it to the defaults, -1 is the context's rest.
        stop: the answer ends before the first of these strings.
        stream: whether the client reads the answer as it is made.
        keep_alive_s: how long the model stays loaded after the answer, in seconds; negative is for ever, 0
            unloads at once, `None` leaves it to the settings.
        n: how many answers to make.
        logprobs: report the log-probability of each token, and of so many alternatives; `None` reports nothing.
        constraint: the form that the answer must have.
        tools: the functions that the model may call.
        tool_choice: whether it calls them.
        parallel_tool_calls: whether one answer may hold several calls.
        thinking: how much the model thinks.
        template_variables: what the client gives to the chat template by name.
        adapters: LoRA adapters for this request.
        deadline_s: the answer fails if it is not complete so many seconds after it reached the engine.
        context_length: tokens of prompt and answer that this request wants room for; `None` leaves it to the settings.
        caller_key: set by the kernel; engines may keep what they remember of callers apart by it.
        directions: set by the kernel, see `Directions`.
    """

    request_id: str
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | tuple[int, ...] | None = None
    suffix: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    keep_alive_s: float | None = None
    n: int = 1
    logprobs: int | None = None
    constraint: Constraint | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True
    thinking: Thinking = field(default_factory=Thinking)
    template_variables: Mapping[str, object] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    deadline_s: float | None = None
    context_length: int | None = None
    caller_key: str = ""
    directions: Directions = field(default_factory=Directions)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request; those of all its answers together.

    Attributes:
        prompt_tokens: tokens of the prompt after templating, cached ones included; counted once.
        completion_tokens: tokens made, the one that ended the answer included.
        cached_tokens: prompt tokens that needed no computing.
        reasoning_tokens: those of the completion that were thinking.
        drafted_tokens: tokens that were guessed ahead.
        accepted_tokens: guesses that turned out right.
        preemptions: how often an answer gave up its place in the cache to others and was computed again.
        prefill_s: seconds from the start of prefill to the first token.
        decode_s: seconds from the first token to the last.
        replays: how often the process that computed it died, and another one went on.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    reasoning_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0
    replays: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and how likely it was.

    Attributes:
        token: its bytes, which need not be whole characters.
        logprob: natural logarithm of its probability, from the model's own logits at temperature 1.
        top: the likeliest tokens at this place, the likeliest first.
    """

    token: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The model has taken the request: the prompt is tokenised and fits.

    Attributes:
        prompt_tokens: its length.
        prompt_tail: the last characters of the prompt, which may already begin the answer, e.g. its thinking.
    """

    prompt_tokens: int
    prompt_tail: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next piece of an answer: whole characters, never half of one.

    Attributes:
        text: may be empty while text is held back that could begin a stop string.
        tokens: how many tokens went into it.
        index: which of the `n` answers it belongs to.
        reasoning: the next piece of its thinking.
        tool_calls: what it adds to tool calls.
        logprobs: one for each of its tokens, where the request asked for them.
    """

    text: str
    tokens: int = 1
    index: int = 0
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """All answers are complete. Engines leave `receipt` empty; the kernel fills it.

    Attributes:
        finish_reason: why the first answer ended.
        usage: of all answers together.
        more: why each of the further ones ended, where `n` is more than 1.
    """

    finish_reason: FinishReason
    usage: Usage
    receipt: Receipt | None = None
    more: tuple[FinishReason, ...] = ()

    @property
    def finish_reasons(self) -> tuple[FinishReason, ...]:
        """Why each answer ended, by index."""
        return (self.finish_reason, *self.more)


StreamEvent = Started | Chunk | Done
