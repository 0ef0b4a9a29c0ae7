"""What the grammars allow is what the parsers read, as llguidance itself sees it."""

from __future__ import annotations

import json
from random import Random

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from hoshikage import Tool
from tests.plugins.chat_formats.goldens import FORMATS, TOOLS, reader, tagged

VALUE_END = b"\n</parameter>"  # plain text ends with it, which chance would never find
WEATHER = '{"city": "東京", "days": 3}'
DEFINED = Tool(
    "place",
    parameters={
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/Point"}, "kind": {"type": "string", "enum": ["sea", "land"]}},
        "required": ["at"],
        "$defs": {"Point": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}},
    },
)

# Of each format: an answer with one call, and one with two.
_R1 = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{}\n```<｜tool▁call▁end｜>"
_V31 = "<｜tool▁call▁begin｜>{}<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
_HARMONY = f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{WEATHER}"
_NOW = '{"name": "now", "parameters": {}}'
_CODER = "<tool_call>\n<function={}>\n{}</function>\n</tool_call>"
_VALUES = "<parameter=city>\n東京\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
ALLOWED = {
    "hermes": (tagged("get_weather", WEATHER), f"{tagged('now', '{}')}\n{tagged('get_weather', WEATHER)}"),
    "generic": (tagged("get_weather", WEATHER), f"{tagged('now', '{}')}\n{tagged('get_weather', WEATHER)}"),
    "llama3": (f'{{"name": "get_weather", "parameters": {WEATHER}}}', f"{_NOW}; {_NOW}"),
    "mistral": (
        f'[TOOL_CALLS][{{"name": "get_weather", "arguments": {WEATHER}}}]',
        '[TOOL_CALLS][{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]',
    ),
    "mistral_args": (f"[TOOL_CALLS]get_weather[ARGS]{WEATHER}", "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]now[ARGS]{}"),
    "gemma": (
        f'```json\n{{"name": "get_weather", "parameters": {WEATHER}}}\n```',
        f"```json\n{_NOW}\n```\n```json\n{_NOW}\n```",
    ),
    "deepseek": (
        f"<｜tool▁calls▁begin｜>{_R1.format('get_weather', WEATHER)}<｜tool▁calls▁end｜>",
        f"<｜tool▁calls▁begin｜>{_R1.format('now', '{}')}\n{_R1.format('now', '{}')}<｜tool▁calls▁end｜>",
    ),
    "deepseek_v31": (
        f"<｜tool▁calls▁begin｜>{_V31.format('get_weather', WEATHER)}<｜tool▁calls▁end｜>",
        f"<｜tool▁calls▁begin｜>{_V31.format('now', '{}')}{_V31.format('now', '{}')}<｜tool▁calls▁end｜>",
    ),
    "gpt_oss": (_HARMONY, f"<|start|>assistant{_HARMONY}"),  # one call is all it can
    "qwen_coder": (_CODER.format("get_weather", _VALUES), f"{_CODER.format('now', '')}\n{_CODER.format('now', '')}"),
}


class ByteVocabulary:
    """A vocabulary of all bytes and an end, as llguidance wants it."""

    eos_token_id = 256
    bos_token_id = None
    tokens = [bytes([value]) for value in range(256)] + [b"\xff<end>"]
    special_token_ids = (256,)

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


@pytest.fixture(scope="module")
def tokenizer() -> LLTokenizer:
    """What llguidance needs of a vocabulary."""
    return LLTokenizer(TokenizerWrapper(ByteVocabulary()))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("parallel", [True, False])
def test_grammars_are_valid(name, parallel, tokenizer):
    """Every grammar compiles without a warning, whatever the schemas refer to."""
    constraint = FORMATS[name].tool_constraint([*TOOLS, DEFINED], parallel=parallel)

    assert ("lark", "tools") == (constraint.kind, constraint.param)
    assert "" == LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(constraint.source), tokenizer)


@pytest.mark.parametrize("name", FORMATS)
def test_calls_are_allowed(name, tokenizer):
    """The form of the published templates is allowed, and with `parallel` more than one call."""
    single, double = ALLOWED[name]

    assert allows(tokenizer, name, single)
    assert allows(tokenizer, name, double)
    assert allows(tokenizer, name, single, parallel=False)
    assert (name == "gpt_oss") == allows(tokenizer, name, double, parallel=False)


@pytest.mark.parametrize("name", FORMATS)
def test_all_else_is_refused(name, tokenizer):
    """No text, no other function, no missing argument and none of another type gets through."""
    answer = ALLOWED[name][0]
    coder = name == "qwen_coder"

    assert not allows(tokenizer, name, "I cannot.")
    assert not allows(tokenizer, name, answer.replace("get_weather", "get_wether"))
    assert not allows(tokenizer, name, answer.replace("city", "town"))
    assert not allows(tokenizer, name, answer.replace("\n3\n" if coder else ": 3", "\nx\n" if coder else ': "x"'))
    assert not allows(tokenizer, name, f"{answer} ok")


@pytest.mark.parametrize("name", FORMATS)
def test_references_are_followed(name, tokenizer):
    """Definitions of a tool's schema hold, although the schema stands within a larger one."""
    good, bad = (answer_with(name, tokenizer, point) for point in ("[1, 2.5]", "[1]"))

    assert (True, False) == (good, bad)


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_is_allowed_is_read_as_calls(name, tokenizer):
    """Of many answers made at random from the grammar, each is nothing but calls, with arguments that are JSON."""
    tools = [*TOOLS, DEFINED]
    for seed in range(25):
        answer = some_answer(tokenizer, FORMATS[name].tool_constraint(tools, parallel=True).source, Random(seed))
        found = reader(name, tools=tuple(tools)).push(answer).finish()

        assert ("", "") == (found.content.strip(), found.reasoning), answer
        assert found.calls, answer
        assert all(isinstance(json.loads(arguments), dict) for _, _, arguments in found.calls), answer


def test_a_function_without_parameters_takes_none(tokenizer):
    """What says nothing of its arguments is not made to have some."""
    assert allows(tokenizer, "hermes", tagged("now", "{}"))
    assert not allows(tokenizer, "hermes", tagged("now", '{"a": 1}'))


def test_no_further_arguments_are_made_up(tokenizer):
    """A schema that lists its properties is closed, unless it says that it is open."""
    tool = Tool("f", parameters={"type": "object", "properties": {"a": {"type": "integer"}}})
    open_tool = Tool("f", parameters={**tool.parameters, "additionalProperties": True})
    answer = tagged("f", '{"a": 1, "b": 2}')

    assert not allows(tokenizer, "hermes", answer, tools=(tool,))
    assert allows(tokenizer, "hermes", answer, tools=(open_tool,))


def test_white_space_has_an_end(tokenizer):
    """One space is enough: where more is allowed, small models write it until they are cut off."""
    assert not allows(tokenizer, "hermes", tagged("now", "{}").replace(": ", ":  "))
    assert allows(tokenizer, "hermes", tagged("now", "{}").replace(": ", ":"))


@pytest.mark.parametrize("name", ["hermes", "generic", "deepseek", "deepseek_v31", "qwen_coder"])
def test_an_empty_line_after_thinking_is_allowed(name, tokenizer):
    """Models that think are used to a gap before their answer; it is no part of what is read."""
    answer = "\n\n" + ALLOWED[name][0]

    assert allows(tokenizer, name, answer)
    assert "" == reader(name).push(answer).finish().content
    assert not allows(tokenizer, name, "\n" + answer)


def test_unknown_words_in_a_schema_are_passed_over_unless_it_is_strict(tokenizer):
    """What cannot be enforced is no reason to refuse, except where the client insists."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "no-such-format"}}}
    loose, strict = (
        FORMATS["hermes"].tool_constraint([Tool("f", parameters=schema, strict=strict)], parallel=False).source
        for strict in (False, True)
    )

    assert "" == LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(loose), tokenizer).partition("WARNING")[0]
    assert "no-such-format" in LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(strict), tokenizer)


def test_qwen_coder_keeps_to_enumerations(tokenizer):
    """Plain text is free, but where the schema names the words, only those are allowed."""
    form = "<tool_call>\n<function=place>\n<parameter=at>\n[1, 2]\n</parameter>\n<parameter=kind>\n{}\n</parameter>\n"
    answer = f"{form}</function>\n</tool_call>"

    assert allows(tokenizer, "qwen_coder", answer.format("sea"), tools=(DEFINED,))
    assert not allows(tokenizer, "qwen_coder", answer.format("air"), tools=(DEFINED,))


def allows(tokenizer, name, answer, *, tools=TOOLS, parallel=True) -> bool:
    """Whether a whole answer is within the grammar of a format."""
    source = FORMATS[name].tool_constraint(tools, parallel=parallel).source
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(source), log_level=0)
    data = answer.encode()
    return matcher.try_consume_tokens(list(data)) == len(data) and matcher.is_accepting()


def answer_with(name, tokenizer, point: str) -> bool:
    """Whether a call of the tool with definitions is allowed with this point."""
    answer = ALLOWED[name][0].replace("get_weather", "place")
    if name == "qwen_coder":
        answer = answer.replace("city", "at").replace("東京", point).replace("<parameter=days>\n3\n</parameter>\n", "")
    return allows(tokenizer, name, answer.replace(WEATHER, f'{{"at": {point}}}'), tools=(DEFINED,))


def some_answer(tokenizer, source: str, random: Random) -> str:
    """An answer that the grammar allows, made at random, with a liking for what ends things."""
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(source), log_level=0)
    answer = bytearray()
    while not matcher.is_stopped() and not (matcher.is_accepting() and random.random() < 0.7):
        if random.random() < 0.2 and matcher.validate_tokens(list(VALUE_END)) == len(VALUE_END):
            matcher.consume_tokens(list(VALUE_END))
            answer += VALUE_END
            continue
        mask = matcher.compute_bitmask()
        allowed = [value for value in range(256) if mask[value // 8] >> (value % 8) & 1]
        plain = [value for value in allowed if 32 <= value < 127 or value == 10] or allowed
        ending = [value for value in plain if value in b'"}]\n<`']
        answer.append(random.choice(ending if ending and random.random() < 0.5 else plain))
        assert matcher.consume_token(answer[-1])
    return answer.decode()
