from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hoshikage.core.http.body import check
from hoshikage.plugins.routes_openai.bodies import (
    ChatBody,
    CompletionBody,
    DetokenizeBody,
    EmbeddingsBody,
    RerankBody,
    TokenizeBody,
)
from tests.plugins.routes_openai.made import chat, completion, embeddings, refusal, rerank

LEAST: dict[type[msgspec.Struct], dict[str, Any]] = {
    ChatBody: {"model": "m", "messages": [{"role": "user"}]},
    CompletionBody: {"model": "m", "prompt": ""},
    EmbeddingsBody: {"model": "m", "input": "a"},
    RerankBody: {"model": "m", "query": "a", "documents": ["b"]},
    TokenizeBody: {"content": ""},
    DetokenizeBody: {"tokens": []},
}

NUMBERS = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "dry_multiplier": (0, 100),
    "dry_base": (0, 100),
    "xtc_probability": (0, 1),
    "xtc_threshold": (0, 1),
    "mirostat_tau": (0, 100),
    "mirostat_eta": (0, 100),
}
WHOLE_NUMBERS = {
    "max_tokens": (1, 2**31 - 1),
    "seed": (-(2**63), 2**63 - 1),
    "n": (1, 16),
    "top_k": (0, 2**31 - 1),
    "repeat_last_n": (-1, 2**31 - 1),
    "dry_allowed_length": (0, 2**31 - 1),
    "dry_penalty_last_n": (-1, 2**31 - 1),
}
CHAT_WHOLE_NUMBERS = {
    "max_completion_tokens": (1, 2**31 - 1),
    "top_logprobs": (0, 20),
    "thinking_budget": (-1, 2**31 - 1),
    "thinking_budget_tokens": (-1, 2**31 - 1),
}


@pytest.mark.parametrize("shape", LEAST)
def test_null_is_unset_and_unknown_fields_are_passed_over(shape: type[msgspec.Struct]):
    """Each optional field may be `null`, and a field that nobody knows does no harm."""
    optional = {name: None for name in shape.__struct_fields__ if name not in LEAST[shape]}
    plain = check(LEAST[shape], shape)

    assert plain == check({**optional, **LEAST[shape], "mystery": [1], "user": "u", "store": True}, shape)


@pytest.mark.parametrize("shape", LEAST)
def test_what_is_required_is_named(shape: type[msgspec.Struct]):
    """Without a required field the error names it."""
    for name in LEAST[shape]:
        rest = {key: value for key, value in LEAST[shape].items() if key != name}

        assert name == refusal(check, rest, shape).param


@pytest.mark.parametrize(("field", "bounds"), (NUMBERS | WHOLE_NUMBERS).items(), ids=NUMBERS | WHOLE_NUMBERS)
@pytest.mark.parametrize("ask", [chat, completion])
def test_numbers_have_bounds(ask: Any, field: str, bounds: tuple[int, int]):
    """The bounds themselves are let through; what lies beyond, and what is no number, is refused by name."""
    low, high = bounds
    for good in bounds:
        assert good == getattr(ask(**{field: good}), field)

    for bad in (low - 1, high + 1, "1", [], True):
        assert field == refusal(ask, **{field: bad}).param


@pytest.mark.parametrize(("field", "bounds"), CHAT_WHOLE_NUMBERS.items(), ids=CHAT_WHOLE_NUMBERS)
def test_whole_numbers_of_chats_have_bounds(field: str, bounds: tuple[int, int]):
    """The same for the fields that chats have alone; fractions are no whole numbers."""
    low, high = bounds
    for bad in (low - 1, high + 1, 1.5, "1", True):
        assert field == refusal(chat, **{field: bad}).param


def test_too_many_answers_name_the_limit():
    """A client learns how many answers it may have."""
    assert "16" in refusal(chat, n=17).message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"repeat_penalty": 0}, "repeat_penalty"),
        ({"repeat_penalty": 101}, "repeat_penalty"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", None]}, "stop[1]"),
        ({"stop": ["a"] * 65}, "stop"),
        ({"stop": "a" * 1001}, "stop"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"dry_sequence_breakers": "\n"}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": [1]}, "dry_sequence_breakers[0]"),
        ({"mirostat": 1}, "mirostat"),
        ({"mirostat": True}, "mirostat"),
        ({"ignore_eos": 1}, "ignore_eos"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 1}}},
            "response_format.json_schema.schema",
        ),
        ({"grammar": 1}, "grammar"),
        ({"json_schema": "{}"}, "json_schema"),
        ({"guided_json": 1}, "guided_json"),
        ({"guided_regex": 1}, "guided_regex"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": ["a", 1]}, "guided_choice[1]"),
        ({"guided_grammar": {}}, "guided_grammar"),
        ({"structured_outputs": "json"}, "structured_outputs"),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
        ({"lora": {"id": 0}}, "lora"),
        ({"lora": [{"scale": "much"}]}, "lora[0].scale"),
        ({"keep_alive": [5]}, "keep_alive"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
    ],
)
@pytest.mark.parametrize("ask", [chat, completion])
def test_shared_fields_are_checked(ask: Any, change: dict[str, Any], field: str):
    """A wrong type or value in a field that chats and completions share is refused by name."""
    assert field == refusal(ask, **change).param


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a b"}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": [1]}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [{"role": "tool", "tool_call_id": 1}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "reasoning_content": 1}]}, "messages[0].reasoning_content"),
        ({"logprobs": 3}, "logprobs"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a" * 129}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a\n"}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": 1}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": 1}}}, "tool_choice.function.name"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"functions": [{"description": "f"}]}, "functions[0].name"),
        ({"function_call": 1}, "function_call"),
        ({"reasoning_effort": 1}, "reasoning_effort"),
        ({"modalities": "text"}, "modalities"),
        ({"think": 1}, "think"),
        ({"chat_template_kwargs": []}, "chat_template_kwargs"),
    ],
)
def test_fields_of_chats_are_checked(change: dict[str, Any], field: str):
    """A wrong type or value in a field that chats have alone is refused by name."""
    assert field == refusal(chat, **change).param


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [True]}, "prompt[0]"),
        ({"prompt": [-1]}, "prompt[0]"),
        ({"prompt": [[2**31]]}, "prompt[0][0]"),
        ({"prompt": [["a"]]}, "prompt[0][0]"),
        ({"suffix": 1}, "suffix"),
        ({"echo": "yes"}, "echo"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": -1}, "logprobs"),
        ({"best_of": 0}, "best_of"),
    ],
)
def test_fields_of_completions_are_checked(change: dict[str, Any], field: str):
    """A wrong type or value in a field that completions have alone is refused by name."""
    assert field == refusal(completion, **change).param


@pytest.mark.parametrize(
    ("ask", "change", "field"),
    [
        (embeddings, {"input": []}, "input"),
        (embeddings, {"input": 5}, "input"),
        (embeddings, {"input": [1.5]}, "input[0]"),
        (embeddings, {"encoding_format": "hex"}, "encoding_format"),
        (embeddings, {"dimensions": 0}, "dimensions"),
        (embeddings, {"truncate": "END"}, "truncate"),
        (rerank, {"query": ""}, "query"),
        (rerank, {"documents": []}, "documents"),
        (rerank, {"documents": ["a"] * 2049}, "documents"),
        (rerank, {"documents": [{"title": "a"}]}, "documents[0].text"),
        (rerank, {"documents": [1]}, "documents[0]"),
        (rerank, {"top_n": 0}, "top_n"),
        (rerank, {"return_documents": 1}, "return_documents"),
    ],
)
def test_fields_of_vectors_are_checked(ask: Any, change: dict[str, Any], field: str):
    """A wrong type or value in a request for numbers is refused by name."""
    assert field == refusal(ask, **change).param


def test_function_names_may_be_japanese_and_have_paths():
    """Names are letters of any script, digits and the signs that tool servers use."""
    names = ["天気", "mcp/files.read", "a-b_c:d", "x" * 128]
    tools = [{"type": "function", "function": {"name": name}} for name in names]

    assert names == [t.function.name for t in chat(tools=tools).tools]
