"""Conversations in the shapes that the templates of real models expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.conversation import build_prompt
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate, TemplateRefused

TEMPLATES = Path(__file__).parents[2] / "chat_formats" / "templates"

SYSTEM = frames.Turn("system", "Be short.")
USER = frames.Turn("user", "星?")
CALL = frames.ToolCall("call_0123456789", "look", '{"where": "東 \\"up\\""}')
OTHER_CALL = frames.ToolCall("call_9876543210", "now", "{}")
CALLS = frames.Turn("assistant", "", reasoning="I must look.", tool_calls=[CALL])
RESULT = frames.Turn("tool", "Vega", name="look", tool_call_id=CALL.id)
TOOL = frames.Tool("look", "Look up.", {"type": "object", "properties": {"where": {"type": "string"}}})
TOOL_TALK = [SYSTEM, USER, CALLS, RESULT]


# --- conversations with tools, family by family ---


def test_qwen25_gets_arguments_as_an_object():
    """Its template writes the arguments as JSON, so they must not be JSON already."""
    prompt = render("qwen2.5", TOOL_TALK, tools=[TOOL])

    assert '\n<tool_call>\n{"name": "look", "arguments": {"where": "東 \\"up\\""}}\n</tool_call><|im_end|>\n' in prompt
    assert "<|im_start|>user\n<tool_response>\nVega\n</tool_response><|im_end|>\n<|im_start|>assistant\n" in prompt


def test_tools_are_written_as_openai_writes_them():
    """A function stands within its type, with its name first."""
    expected = (
        '\n{"type": "function", "function": {"name": "look", "description": "Look up.", "parameters": '
        '{"type": "object", "properties": {"where": {"type": "string"}}}}}\n</tools>'
    )

    assert expected in render("qwen2.5", [USER], tools=[TOOL])


def test_no_tools_are_none():
    """A template that asks whether tools are none writes nothing of them."""
    assert "ipython" not in render("llama3.1", [USER])


def test_qwen3_gets_the_reasoning_of_this_turn():
    """Thinking that led to a call stands before the call."""
    prompt = render("qwen3", TOOL_TALK, tools=[TOOL])

    assert '<think>\nI must look.\n</think>\n\n<tool_call>\n{"name": "look"' in prompt


def test_qwen3_coder_gets_arguments_one_by_one():
    """Its template goes through the arguments by name."""
    prompt = render("qwen3-coder", TOOL_TALK, tools=[TOOL])

    assert '<function=look>\n<parameter=where>\n東 "up"\n</parameter>\n</function>' in prompt


def test_llama_gets_one_call_a_turn():
    """Its template refuses turns with several calls, so each stands with its result."""
    both = frames.Turn("assistant", "", tool_calls=[CALL, OTHER_CALL])
    results = [RESULT, frames.Turn("tool", "noon", tool_call_id=OTHER_CALL.id)]
    prompt = render("llama3.1", [USER, both, *results], tools=[TOOL])

    roles = [part.partition("<|end_header_id|>")[0] for part in prompt.split("<|start_header_id|>")[1:]]
    assert ["system", "user", "assistant", "ipython", "assistant", "ipython", "assistant"] == roles
    assert prompt.index('"where"') < prompt.index("Vega") < prompt.index('"now"') < prompt.index("noon")


def test_calls_without_results_are_not_lost():
    """Where the results are missing, the calls still stand one after the other."""
    both = frames.Turn("assistant", "", tool_calls=[CALL, OTHER_CALL])
    prompt = render("llama3.1", [USER, both], tools=[TOOL])

    assert prompt.index('"look", "parameters"') < prompt.index('"now", "parameters"')


def test_mistral_gets_ids_of_nine_characters():
    """Its template refuses any other ids; call and result still agree."""
    prompt = render("mistral-small-3.1", TOOL_TALK, tools=[TOOL])

    made = prompt.partition('"id": "')[2].partition('"')[0]
    assert (9, True) == (len(made), made.isalnum())
    assert f'"call_id": "{made}"' in prompt


def test_ids_that_mistral_takes_are_kept():
    """An id of nine letters and digits goes through as it is."""
    call = frames.ToolCall("abcDEF123", "look", "{}")
    talk = [USER, frames.Turn("assistant", "", tool_calls=[call]), frames.Turn("tool", "x", tool_call_id="bad")]

    assert '"id": "abcDEF123"' in render("mistral-small-3.1", talk)


def test_magistral_gets_its_calls():
    """The newer form of Mistral's calls is written by the template."""
    assert '[TOOL_CALLS]look[ARGS]{"where": "東 \\"up\\""}</s>' in render("magistral", TOOL_TALK, tools=[TOOL])


def test_deepseek_gets_arguments_as_text():
    """Its templates join texts, and an object is none."""
    expected = (
        "<｜User｜>星?<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n"
        '{"where": "東 \\"up\\""}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>'
        "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>Vega<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
    )

    assert render("deepseek-r1", TOOL_TALK).endswith(expected)


def test_deepseek_v31_gets_content_and_arguments():
    """Content before a call is kept, none is none."""
    says = frames.Turn("assistant", "Wait.", tool_calls=[CALL])

    assert "</think><｜tool▁calls▁begin｜>" in render("deepseek-v3.1", TOOL_TALK)
    assert "</think>Wait.<｜tool▁calls▁begin｜>" in render("deepseek-v3.1", [USER, says, RESULT])


def test_gpt_oss_gets_thinking():
    """What was thought before a call stands on the channel for it."""
    prompt = render("gpt-oss", TOOL_TALK, tools=[TOOL])

    assert "<|channel|>analysis<|message|>I must look.<|end|><|start|>assistant to=functions.look" in prompt
    assert '<|start|>functions.look to=assistant<|channel|>commentary<|message|>"Vega"<|end|>' in prompt


def test_gpt_oss_is_not_given_thinking_beside_content():
    """Its template refuses both in a turn that calls; what the reader saw is kept."""
    says = frames.Turn("assistant", "Wait.", reasoning="Hm.", tool_calls=[CALL])

    assert "<|message|>Wait.<|end|>" in render("gpt-oss", [USER, says, RESULT])


# --- templates that know less ---


def test_system_goes_into_the_user_turn_where_it_is_refused():
    """A template without system messages gets the text where it can take it."""
    expected = "<s><start_of_turn>user\nBe short.\n\n星?<end_of_turn>\n<start_of_turn>model\n"

    assert expected == render("gemma2", [SYSTEM, USER])


def test_a_system_message_at_the_end_becomes_the_users():
    """Nothing that the client sent is left out."""
    assert "<start_of_turn>user\nBe short.<end_of_turn>" in render("gemma2", [SYSTEM])


def test_neighbours_are_joined_where_roles_must_alternate():
    """Two user turns in a row are one for templates that insist on taking turns."""
    assert "user\n星?\n\n月?<end_of_turn>" in render("gemma3", [USER, frames.Turn("user", "月?")])


def test_turns_stay_apart_where_the_template_takes_them():
    """Nothing is joined that need not be."""
    prompt = render("qwen2.5", [USER, frames.Turn("user", "月?")])

    assert "<|im_start|>user\n星?<|im_end|>\n<|im_start|>user\n月?<|im_end|>\n" in prompt


def test_tools_as_text_stand_before_the_system_message():
    """The description goes first, and the template gets no tools of its own."""
    prompt = render("qwen2.5", [SYSTEM, USER], tools=[TOOL], hoshikage_tools_as_text="You can call: look")

    assert prompt.startswith("<|im_start|>system\nYou can call: look\n\nBe short.<|im_end|>\n<|im_start|>user\n")


def test_tools_as_text_bring_a_system_message():
    """Without a system message there is one afterwards, or the user's turn carries it."""
    assert "<|im_start|>system\nTools!<|im_end|>" in render("smollm2", [USER], hoshikage_tools_as_text="Tools!")
    assert "user\nTools!\n\n星?<end_of_turn>" in render("gemma2", [USER], hoshikage_tools_as_text="Tools!")


def test_calls_and_results_become_text():
    """A template that knows no calls gets them in the words that the model was told to use."""
    form = {"opener": "<call>", "closer": "</call>", "arguments": "parameters"}
    says = frames.Turn("assistant", "Wait.", tool_calls=[CALL, OTHER_CALL])
    prompt = render("gemma3", [USER, says, RESULT, RESULT], hoshikage_calls_as_text=form)

    expected = (
        '<start_of_turn>model\nWait.\n\n<call>{"name": "look", "parameters": {"where": "東 \\"up\\""}}</call>\n'
        '<call>{"name": "now", "parameters": {}}</call><end_of_turn>\n<start_of_turn>user\n'
        "<tool_response>\nVega\n</tool_response>\n<tool_response>\nVega\n</tool_response><end_of_turn>\n"
    )
    assert expected in prompt


@pytest.mark.parametrize("value", [True, 3, "x", [1], {"opener": 1}])
def test_strange_values_from_the_client_do_no_harm(value):
    """A client can name these variables as well; it harms nobody but its own prompt."""
    variables = {"hoshikage_calls_as_text": value, "hoshikage_tools_as_text": value}

    assert "星?" in render("smollm2", [USER], **variables)


# --- what templates are given besides ---


def test_variables_reach_the_template():
    """Thinking is switched off by the template's own variable."""
    assert render("qwen3", [USER], enable_thinking=False).endswith("<think>\n\n</think>\n\n")
    assert "Reasoning: high" in render("gpt-oss", [USER], reasoning_effort="high")


def test_arguments_are_json_wherever_a_template_writes_them():
    """A template that writes an object without a filter writes JSON, not Python."""
    talk = [USER, frames.Turn("assistant", "", tool_calls=[CALL])]
    source = (
        "{% for c in messages[1].tool_calls %}{{ c.function.arguments }}{{ '' ~ c.function.arguments }}{% endfor %}"
    )

    assert CALL.arguments * 2 == build_prompt(ChatTemplate(source, bos="", eos=""), frame(talk))


def test_broken_arguments_are_passed_on_as_they_are():
    """A call that was cut off stays what the model wrote."""
    broken = frames.Turn("assistant", "", tool_calls=[frames.ToolCall("1", "look", '{"where": "e')])

    assert '"arguments": {"where": "e' in render("qwen3", [USER, broken])


def test_the_reason_of_a_refusal_is_that_of_the_plain_conversation():
    """Attempts to please the template do not hide what it said first."""
    source = "{{ raise_exception('first: ' ~ messages|length) }}"
    with pytest.raises(TemplateRefused, match=r"refuses this conversation: first: 2$"):
        build_prompt(ChatTemplate(source, bos="", eos=""), frame([SYSTEM, USER]))


def test_a_stopped_template_is_not_tried_again():
    """What the sandbox stopped would be stopped again, after the whole time limit."""
    source = "{{ '' if messages[0].role != 'system' else 9 ** 9 }}"
    with pytest.raises(TemplateRefused, match="was stopped"):
        build_prompt(ChatTemplate(source, bos="", eos=""), frame([SYSTEM, USER]))


def render(name: str, turns: list[frames.Turn], *, tools: list[frames.Tool] | None = None, **variables: object) -> str:
    """The prompt by one of the published templates."""
    template = ChatTemplate((TEMPLATES / f"{name}.jinja").read_text("utf-8"), bos="<s>", eos="</s>")
    return build_prompt(template, frame(turns, tools, variables))


def frame(turns, tools=None, variables=None) -> frames.Generate:
    """A request with nothing in it but the conversation."""
    return frames.Generate(
        1, turns, None, frames.SamplingParams(), None, [], tools=tools or [], template_variables=variables or {}
    )
