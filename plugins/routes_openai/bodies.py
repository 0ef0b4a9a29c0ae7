"""The bodies that OpenAI clients send: `null` is unset, unknown fields are passed over.

Source: https://platform.openai.com/docs/api-reference. The fields that OpenAI does not have are those of llama.cpp's
server and of vLLM, under the names that they have there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# What llama.cpp counts with.
INT32_MAX = 2**31 - 1
MOST_ANSWERS = 16
MOST_PROMPTS = 256
MOST_INPUTS = 2048

Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Length = Annotated[int, Meta(ge=1, le=INT32_MAX)]
LookBack = Annotated[int, Meta(ge=-1, le=INT32_MAX)]
StopString = Annotated[str, Meta(max_length=1000)]
TokenId = Annotated[int, Meta(ge=0, le=INT32_MAX)]
# One text, one list of token ids, or a list of either.
Inputs = str | Annotated[list[str | TokenId | list[TokenId]], Meta(min_length=1)]
Encoding = Literal["float", "base64"]
FunctionName = Annotated[str, Meta(pattern=r"^[\w./:-]{1,128}\Z")]


class Part(msgspec.Struct, frozen=True):
    """A piece of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(msgspec.Struct, frozen=True):
    """What was called; some clients keep the arguments as an object."""

    name: FunctionName
    arguments: str | dict[str, Any] | None = None


class CallBody(msgspec.Struct, frozen=True):
    """A call that the assistant made."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None


class MessageBody(msgspec.Struct, frozen=True):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[CallBody] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class FunctionBody(msgspec.Struct, frozen=True):
    """A function on offer."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(msgspec.Struct, frozen=True):
    """A tool on offer."""

    type: str
    function: FunctionBody | None = None


class FunctionRef(msgspec.Struct, frozen=True):
    """A function by its name."""

    name: str


class NamedChoice(msgspec.Struct, frozen=True):
    """The tool that must be called."""

    type: str
    function: FunctionRef | None = None


class SchemaFormat(msgspec.Struct, frozen=True):
    """A named JSON schema."""

    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form of the answer; llama.cpp's server takes `schema` without a name too."""

    type: str
    json_schema: SchemaFormat | None = None
    schema: dict[str, Any] | None = None


class StructuredOutputs(msgspec.Struct, frozen=True):
    """The form of the answer in vLLM's words."""

    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: Annotated[list[str], Meta(min_length=1)] | None = None
    grammar: str | None = None
    json_object: bool | None = None


class LoraBody(msgspec.Struct, frozen=True):
    """A LoRA adapter in use; `id` is the word of llama.cpp's server."""

    id: str | int | None = None
    name: str | None = None
    scale: Annotated[float, Meta(ge=-100, le=100)] | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream should carry besides text."""

    include_usage: bool | None = None


class OptionsBody(msgspec.Struct, frozen=True):
    """Of Ollama's options, the one that has no other name here."""

    num_ctx: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None


class GenerationBody(msgspec.Struct, frozen=True, kw_only=True):
    """What chats and completions have in common; the second group is not OpenAI's."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_p: Probability | None = None
    max_tokens: Length | None = None
    stop: StopString | Annotated[list[StopString], Meta(max_length=64)] | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_ANSWERS)] | None = None
    response_format: ResponseFormat | None = None

    top_k: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=100)] | None = None
    repeat_last_n: LookBack | None = None
    dry_multiplier: Annotated[float, Meta(ge=0, le=100)] | None = None
    dry_base: Annotated[float, Meta(ge=0, le=100)] | None = None
    dry_allowed_length: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    dry_penalty_last_n: LookBack | None = None
    dry_sequence_breakers: Annotated[tuple[StopString, ...], Meta(max_length=64)] | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    mirostat: Literal[0, 2] | None = None
    mirostat_tau: Annotated[float, Meta(ge=0, le=100)] | None = None
    mirostat_eta: Annotated[float, Meta(ge=0, le=100)] | None = None
    ignore_eos: bool | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: Annotated[list[str], Meta(min_length=1)] | None = None
    guided_grammar: str | None = None
    structured_outputs: StructuredOutputs | None = None
    lora: list[LoraBody] | None = None
    keep_alive: float | str | None = None
    options: OptionsBody | None = None
    timeout: Annotated[float, Meta(gt=0, le=INT32_MAX)] | None = None


class ChatBody(GenerationBody, frozen=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[MessageBody], Meta(min_length=1)]
    max_completion_tokens: Length | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[ToolBody] | None = None
    tool_choice: str | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionBody] | None = None
    function_call: str | FunctionRef | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    metadata: Any = None  # the client's own; a conversation may be named there

    session_id: str | None = None
    think: bool | str | None = None
    thinking_budget: Annotated[int, Meta(ge=-1, le=INT32_MAX)] | None = None
    thinking_budget_tokens: Annotated[int, Meta(ge=-1, le=INT32_MAX)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionBody(GenerationBody, frozen=True, kw_only=True):
    """`POST /v1/completions`."""

    prompt: Inputs
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: Annotated[int, Meta(ge=1)] | None = None


class EmbeddingsBody(msgspec.Struct, frozen=True):
    """`POST /v1/embeddings`; `truncate` is Ollama's word for cutting what is too long."""

    model: str
    input: Inputs
    encoding_format: Encoding | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    truncate: bool | None = None
    keep_alive: float | str | None = None


class Document(msgspec.Struct, frozen=True):
    """A document as an object."""

    text: str


class RerankBody(msgspec.Struct, frozen=True):
    """`POST /v1/rerank`, as Jina and Cohere have it."""

    model: str
    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1, max_length=MOST_INPUTS)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    keep_alive: float | str | None = None


class TokenizeBody(msgspec.Struct, frozen=True):
    """`POST /tokenize`, as llama.cpp's server has it."""

    content: str
    model: str | None = None
    add_special: bool | None = None


class DetokenizeBody(msgspec.Struct, frozen=True):
    """`POST /detokenize`, as llama.cpp's server has it."""

    tokens: list[TokenId]
    model: str | None = None
