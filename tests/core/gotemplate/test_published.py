"""Templates that published models have, against what Ollama would make of them."""

from __future__ import annotations

from tests.core.gotemplate.rendering import (
    CALL,
    WEATHER,
    WEATHER_JSON,
    answer,
    one,
    rendered,
    source_of,
    system,
)

TALK = [system("Be brief."), one("Hi"), answer("Hello"), one("Bye")]


def test_chatml():
    """A list of messages, each between its markers."""
    expected = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    )
    assert expected == rendered(source_of("chatml"), *TALK)


def test_llama3_is_rendered_turn_by_turn():
    """A template of one turn is repeated, and the last turn ends where the answer begins."""
    expected = (
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert expected == rendered(source_of("llama3"), *TALK)


def test_an_answer_that_is_begun_goes_on():
    """Where the conversation ends with the assistant, nothing closes its turn."""
    prompt = rendered(source_of("llama3"), one("Hi"), answer("Hel"))

    assert prompt.endswith("<|start_header_id|>assistant<|end_header_id|>\n\nHel")


def test_gemma():
    """A system message is the first user's; the model's turn is opened once."""
    expected = (
        "<start_of_turn>user\nBe brief.<end_of_turn>\n<start_of_turn>user\nHi<end_of_turn>\n"
        "<start_of_turn>model\nHello<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    )
    assert expected == rendered(source_of("gemma"), *TALK)


def test_mistral_with_tools():
    """Tools and the system message stand before the last user turn; calls and results have their marks."""
    talk = [system("Be brief."), one("Weather?"), answer("", tool_calls=[CALL]), {"role": "tool", "content": "21"}]
    expected = (
        '[INST] Weather?[/INST][TOOL_CALLS] [{"name": "weather", "arguments": {"city":"東京"}}]</s>'
        '[TOOL_RESULTS] {"content": 21} [/TOOL_RESULTS]'
        f'[AVAILABLE_TOOLS] [{{"type":"function","function":{WEATHER_JSON}}}][/AVAILABLE_TOOLS]'
        "[INST] Be brief.\n\nThanks[/INST]"
    )
    assert expected == rendered(source_of("mistral"), *talk, one("Thanks"), tools=[WEATHER])


def test_qwen_with_tools():
    """Each tool is a line of JSON; a call and its result are where the model was trained to see them."""
    prompt = rendered(
        source_of("qwen2.5"),
        one("Weather?"),
        answer("", tool_calls=[CALL]),
        {"role": "tool", "content": "21"},
        tools=[WEATHER],
    )

    assert f'<tools>\n{{"type": "function", "function": {WEATHER_JSON}}}\n</tools>' in prompt
    assert prompt.endswith(
        "<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
        '{"name": "weather", "arguments": {"city":"東京"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\n21\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_qwen_without_system_and_tools_has_no_system_turn():
    """What is empty writes nothing."""
    assert "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" == rendered(source_of("qwen2.5"), one("Hi"))


def test_qwen3_is_told_whether_to_think():
    """Only what was said of thinking reaches the prompt, at the last user turn."""
    talk = [one("Hi"), answer("Hello"), one("Bye")]

    unset = rendered(source_of("qwen3"), *talk)
    on = rendered(source_of("qwen3"), *talk, enable_thinking=True)
    off = rendered(source_of("qwen3"), *talk, enable_thinking=False)

    assert "think" not in unset
    assert on.endswith("user\nBye /think<|im_end|>\n<|im_start|>assistant\n")
    assert off.endswith("user\nBye /no_think<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert 1 == on.count("/think")


def test_llama_3_1_with_tools():
    """Tools stand before the last question alone; calls and results are turns of their own."""
    talk = [system("Be brief."), one("Weather?"), answer("", tool_calls=[CALL]), {"role": "tool", "content": "21"}]
    tool = f'{{"type":"function","function":{WEATHER_JSON}}}'
    expected = (
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.\n\nCutting Knowledge Date: December 2023\n\n"
        "When you receive a tool call response, use the output to format an answer to the orginal user question."
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWeather?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
        '{"name": "weather", "parameters": {"city":"東京"}}<|eot_id|>'
        "<|start_header_id|>ipython<|end_header_id|>\n\n21<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n"
        "Given the following functions, please respond with a JSON for a function call.\n"
        f"{tool}\n\nQuestion: Thanks<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert expected == rendered(source_of("llama3.1"), *talk, one("Thanks"), tools=[WEATHER])


def test_phi():
    """Every turn but the last is closed, and the answer is opened once."""
    expected = (
        "<|im_start|>system<|im_sep|>\nBe brief.<|im_end|>\n<|im_start|>user<|im_sep|>\nHi<|im_end|>\n"
        "<|im_start|>assistant<|im_sep|>\nHello<|im_end|>\n<|im_start|>user<|im_sep|>\nBye<|im_end|>\n"
        "<|im_start|>assistant<|im_sep|>\n"
    )
    assert expected == rendered(source_of("phi4"), *TALK)


def test_deepseek_is_told_not_to_think():
    """An empty thought stands at the beginning of the answer, and only where that was asked for."""
    expected = "Be brief.<｜User｜>Hi<｜Assistant｜>Hello<｜end▁of▁sentence｜><｜User｜>Bye<｜Assistant｜>"

    assert expected == rendered(source_of("deepseek-r1"), *TALK)
    assert f"{expected}<think>\n\n</think>\n\n" == rendered(source_of("deepseek-r1"), *TALK, enable_thinking=False)


def test_deepseek_goes_on_with_a_thought():
    """An answer that is begun brings what was thought before it."""
    begun = answer("So", reasoning_content="Hm.")

    prompt = rendered(source_of("deepseek-r1"), one("Hi"), begun, enable_thinking=True)

    assert "<｜User｜>Hi<｜Assistant｜><think>\nHm.\n</think>So" == prompt
