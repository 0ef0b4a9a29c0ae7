"""Which model has which format, and what the engine is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage import ChatRequest, Constraint, Directions, Message, Thinking, ToolCall, ToolChoice
from hoshikage.core.errors import NotSupported
from hoshikage.plugins.chat_formats.base import mentions
from tests.plugins.chat_formats.golden_answers import GOLDENS
from tests.plugins.chat_formats.goldens import FORMATS, reader, request

TEMPLATES = {file.stem: file.read_text("utf-8") for file in (Path(__file__).parent / "templates").glob("*.jinja")}

# Template, its format, and what models with it can do.
KNOWN = [
    ("deepseek-r1", "deepseek", {"tools", "thinking"}),
    ("deepseek-v3.1", "deepseek_v31", {"tools", "thinking"}),
    ("gemma2", "gemma", {"tools"}),
    ("gemma3", "gemma", {"tools"}),
    ("gpt-oss", "gpt_oss", {"tools", "thinking"}),
    ("llama3", "generic", {"tools"}),
    ("llama3.1", "llama3", {"tools"}),
    ("magistral", "mistral_args", {"tools", "thinking"}),
    ("mistral-small-3.1", "mistral", {"tools"}),
    ("qwen2.5", "hermes", {"tools"}),
    ("qwen3", "hermes", {"tools", "thinking"}),
    ("qwen3-coder", "qwen_coder", {"tools"}),
    ("smollm2", "generic", {"tools"}),
]
PLAIN = ChatRequest("r1", "the-model", messages=(Message("user", "Hi"),))


@pytest.mark.parametrize(("template", "name", "able"), KNOWN)
def test_templates_have_one_format(template, name, able):
    """Each published template is recognised by one format besides the fallback, and by the right one."""
    found = [one.name for one in sorted(FORMATS.values(), key=lambda one: one.order) if recognised(one, template)]

    assert ([name] if name == "generic" else [name, "generic"]) == found
    assert able == FORMATS[name].capabilities(TEMPLATES[template])


def test_all_templates_are_tested():
    """No template lies there for nothing."""
    assert sorted(TEMPLATES) == sorted(template for template, _, _ in KNOWN)


def test_a_model_without_a_template_has_a_format():
    """A file without a template is read by the fallback."""
    assert ["generic"] == [name for name, one in FORMATS.items() if one.recognises("")]


@pytest.mark.parametrize(
    "template",
    [
        '<|start_header_id|>{% if tools %}<TOOLCALL>[{"name": …, "arguments": …}]</TOOLCALL>{% endif %}',
        "{% if tools %}<tool_call>name\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n</tool_call>{% endif %}",
    ],
    ids=["Nemotron", "GLM"],
)
def test_relatives_with_another_form_go_to_the_fallback(template):
    """A template that shares a marker with a known family, but not its calls, is not mistaken for it."""
    assert ["generic"] == [name for name, one in FORMATS.items() if one.recognises(template)]


def test_tags_without_a_place_for_tools_are_described():
    """Templates with Hermes' tags that call the tools otherwise, as SmolLM3's, get them as text."""
    given = FORMATS["hermes"].directions("{{ xml_tools }}<tool_call>", request())

    assert {"hoshikage_tools_as_text", "hoshikage_calls_as_text"} == set(given.template_variables)


def test_the_fallback_is_asked_last():
    """All others stand at 100, so that plug-ins can put theirs before or behind."""
    assert {100, 1000} == {one.order for one in FORMATS.values()}
    assert 1000 == FORMATS["generic"].order


@pytest.mark.parametrize("name", ["tools", "thinking"])
def test_only_the_code_of_a_template_counts(name):
    """What a template writes, or remarks, does not say what it can take."""
    assert mentions("{%- if x %}{{ '' if " + name + " is none }}", name)
    assert mentions("{# no #}{% for t in " + name + " %}", name)
    assert not mentions(
        name + " {# " + name + " #}{{ 'no " + name + '\' }}{{ "\\"' + name + '" }}{{ my_' + name + " }}", name
    )
    assert not mentions("{{ " + name, name)


# --- thinking ---


@pytest.mark.parametrize(
    ("template", "name", "opener", "closer"),
    [
        ("qwen3", "hermes", "<think>", "</think>"),
        ("deepseek-r1", "deepseek", "<think>", "</think>"),
        ("magistral", "mistral_args", "[THINK]", "[/THINK]"),
        ("gpt-oss", "gpt_oss", "<|channel|>analysis<|message|>", "<|end|>"),
        ("qwen2.5", "hermes", "", ""),
        ("smollm2", "generic", "", ""),
    ],
)
def test_the_engine_knows_where_thinking_is(template, name, opener, closer):
    """The texts around thinking are given only where the template knows of it."""
    given = directions(template, name, PLAIN)

    assert (opener, closer) == (given.think_open, given.think_close)


@pytest.mark.parametrize(
    ("template", "name", "thinking", "expected"),
    [
        ("qwen3", "hermes", Thinking(), {}),
        ("qwen3", "hermes", Thinking(enabled=False), {"enable_thinking": False}),
        ("qwen3", "hermes", Thinking(enabled=True, effort="high"), {"enable_thinking": True}),
        ("deepseek-v3.1", "deepseek_v31", Thinking(enabled=True), {"thinking": True}),
        ("deepseek-r1", "deepseek", Thinking(enabled=False), {}),
        ("qwen2.5", "hermes", Thinking(enabled=False, effort="low"), {}),
        ("gpt-oss", "gpt_oss", Thinking(effort="high"), {"reasoning_effort": "high"}),
        ("gpt-oss", "gpt_oss", Thinking(effort="minimal"), {"reasoning_effort": "low"}),
    ],
)
def test_thinking_goes_by_the_templates_own_names(template, name, thinking, expected):
    """A template is told what it has a word for; the rest is left out without an error."""
    given = directions(template, name, request((), thinking=thinking))

    assert expected == given.template_variables


def test_gpt_oss_thinks_little_when_it_should_not_think():
    """It cannot be told not to think, so it is told to think little."""
    given = directions("gpt-oss", "gpt_oss", request((), thinking=Thinking(enabled=False)))

    assert "low" == given.template_variables["reasoning_effort"]


@pytest.mark.parametrize(("template", "name"), [("qwen2.5", "hermes"), ("smollm2", "generic"), ("gemma3", "gemma")])
def test_thinking_is_refused_where_there_is_none(template, name):
    """Who asks a model to think that cannot is told so, in the words that clients look for."""
    with pytest.raises(NotSupported, match=r'^"the-model" does not support thinking$') as caught:
        directions(template, name, request((), thinking=Thinking(enabled=True)))

    assert "think" == caught.value.param


def test_gpt_oss_begins_a_given_form_after_its_header():
    """A constraint on the answer holds from the message for the reader on, one on calls from the end of thought."""
    json = Constraint("json_object")
    answer = directions("gpt-oss", "gpt_oss", request((), constraint=json))
    call = directions("gpt-oss", "gpt_oss", request(constraint=json, tool_choice=ToolChoice("required")))

    assert "<|end|><|start|>assistant<|channel|>final<|message|>" == answer.think_close
    assert "<|end|>" == call.think_close


# --- tools ---


@pytest.mark.parametrize("name", FORMATS)
def test_markers_come_out_as_text(name):
    """Every marker that a parser looks for, and that can be a token, is named to the engine."""
    chat_format = FORMATS[name]
    openers = [marker for marker in chat_format.parser_class.openers if not marker.startswith(("```", "<function"))]

    assert set(openers) <= set(chat_format.markers)


def test_markers_of_thinking_come_out_as_text():
    """Where the template knows of thinking, its ends are markers too."""
    assert {"<think>", "</think>", "<tool_call>", "</tool_call>"} == set(directions("qwen3", "hermes", PLAIN).markers)


@pytest.mark.parametrize("name", ["llama3", "mistral", "mistral_args", "gpt_oss", "qwen_coder"])
def test_tools_are_refused_where_the_template_has_no_place(name):
    """A template that would drop the tools without a word is not given any."""
    with pytest.raises(NotSupported, match=r'^"the-model" does not support tools$') as caught:
        FORMATS[name].directions("a template without", request())

    assert "tools" == caught.value.param


def test_tools_that_must_not_be_called_are_not_refused():
    """With `tool_choice` none, the answer is text, which every model can write."""
    given = FORMATS["llama3"].directions("", request(tool_choice=ToolChoice("none")))

    assert Directions(markers=("<|python_tag|>",)) == given


def test_templates_with_tools_are_told_nothing():
    """Where the template describes the tools, nothing is described twice."""
    assert {} == directions("qwen2.5", "hermes", request()).template_variables


def test_tools_are_described_where_the_template_cannot():
    """The model reads names, descriptions and schemas, and the form of a call."""
    text = directions("smollm2", "generic", request()).template_variables["hoshikage_tools_as_text"]

    assert '{"name": "get_weather", "description": "The weather of a city.", "parameters": {"type": "object"' in text
    assert '\n{"name": "now"}\n' in text
    assert '\n<tool_call>\n{"name": "function_name", "arguments": {"argument_name": "value"}}\n</tool_call>\n' in text
    assert text.endswith("To call several functions, write the form once for each call.")


@pytest.mark.parametrize(
    ("choice", "ending"),
    [
        (ToolChoice("required"), "You must call a function now."),
        (ToolChoice("named", "now"), "You must call the function now now."),
    ],
)
def test_the_description_says_what_must_be_called(choice, ending):
    """A model that is made to call knows it, or it would fight the form."""
    given = directions("smollm2", "generic", request(tool_choice=choice, parallel_tool_calls=False))

    assert given.template_variables["hoshikage_tools_as_text"].endswith(f"</tool_call>\n{ending}")


@pytest.mark.parametrize(
    ("template", "name", "form"),
    [
        ("gemma3", "gemma", '```json\n{"name": "function_name", "parameters": {"argument_name": "value"}}\n```'),
        (
            "deepseek-r1",
            "deepseek",
            '<｜tool▁sep｜>function_name\n```json\n{"argument_name": "value"}\n```<｜tool▁call▁end',
        ),
        ("deepseek-v3.1", "deepseek_v31", 'function_name<｜tool▁sep｜>{"argument_name": "value"}<｜tool▁call▁end｜>'),
    ],
)
def test_the_form_described_is_the_models_own(template, name, form):
    """Models of a family are asked for calls in the form that they have seen."""
    assert form in directions(template, name, request()).template_variables["hoshikage_tools_as_text"]


def test_calls_so_far_are_written_in_the_same_form():
    """Also where no tools are offered any more, what was called is not lost."""
    call = Message("assistant", "", tool_calls=(ToolCall("1", "now"),))
    given = directions("smollm2", "generic", request((), messages=(call,)))

    form = {"opener": "<tool_call>\n", "closer": "\n</tool_call>", "arguments": "arguments"}
    assert {"hoshikage_calls_as_text": form} == given.template_variables


def test_deepseek_writes_its_calls_itself():
    """Its templates have a place for calls, just none for tools."""
    assert ["hoshikage_tools_as_text"] == list(directions("deepseek-r1", "deepseek", request()).template_variables)


def test_nothing_is_said_of_tools_that_do_not_occur():
    """A plain conversation stays as it is."""
    assert {} == directions("smollm2", "generic", PLAIN).template_variables
    assert {} == directions("smollm2", "generic", request(tool_choice=ToolChoice("none"))).template_variables


@pytest.mark.parametrize("name", FORMATS)
def test_calls_stay_text_where_none_is_wanted(name):
    """With `tool_choice` none, a parser hands out no calls."""
    for golden in GOLDENS:
        if golden.format == name:
            found = reader(name, tail=golden.tail, tool_choice=ToolChoice("none")).push(golden.raw).finish()
            assert [] == found.calls


def recognised(chat_format, template: str) -> bool:
    return chat_format.recognises(TEMPLATES[template])


def directions(template: str, name: str, asked: ChatRequest) -> Directions:
    return FORMATS[name].directions(TEMPLATES[template], asked)
