"""Answers in the forms that the published templates and documents show, and what is in them."""

from __future__ import annotations

from tests.plugins.chat_formats.goldens import HARD, WEATHER, Golden, tagged

# Template of Qwen3: <think>\n…\n</think>\n\n…\n<tool_call>\n…\n</tool_call>; Hermes-2-Pro the same without thinking.
HERMES = [
    Golden("hermes", "text alone", "Hello <b>!</b>\n\n", "Hello <b>!</b>\n\n"),
    Golden("hermes", "text like a tag", "a < b <tool <tool_cal", "a < b <tool <tool_cal"),
    Golden("hermes", "one call", tagged("get_weather", WEATHER), calls=(("get_weather", WEATHER),)),
    Golden("hermes", "hard arguments", tagged("get_weather", HARD), calls=(("get_weather", HARD),)),
    Golden("hermes", "no arguments", tagged("now", "{}"), calls=(("now", "{}"),)),
    Golden("hermes", "arguments left out", '<tool_call>{"name": "now"}</tool_call>', calls=(("now", "{}"),)),
    Golden("hermes", "null arguments", tagged("now", "null"), calls=(("now", "{}"),)),
    Golden(
        "hermes",
        "arguments first",
        '<tool_call>{"arguments": {"city": "a"}, "name": "get_weather"}</tool_call>',
        calls=(("get_weather", '{"city": "a"}'),),
    ),
    Golden(
        "hermes",
        "arguments in a string",
        tagged("get_weather", r'"{\"city\": \"a\"}"'),
        calls=(("get_weather", '{"city": "a"}'),),
    ),
    Golden(
        "hermes",
        "two calls after thinking and text",
        f"<think>\nHm.\nSo.\n</think>\n\nLet me look.\n{tagged('get_weather', WEATHER)}\n{tagged('now', '{}')}",
        "Let me look.",
        "Hm.\nSo.",
        (("get_weather", WEATHER), ("now", "{}")),
    ),
    Golden("hermes", "text after", f"{tagged('now', '{}')}\nDone. ", "Done.", calls=(("now", "{}"),)),
    Golden(
        "hermes",
        "text around",
        f"One.\n{tagged('now', '{}')}\n\nTwo.",
        "One.\n\n\nTwo.",
        calls=(("now", "{}"),),
    ),
    Golden("hermes", "a stranger", tagged("no_such", "{}"), calls=(("no_such", "{}"),)),
    Golden("hermes", "no name of a function", tagged("what is this?", "{}"), tagged("what is this?", "{}")),
    Golden("hermes", "no JSON", "<tool_call>\nnow()\n</tool_call>", "<tool_call>\nnow()\n</tool_call>"),
    Golden("hermes", "broken JSON", '<tool_call>\n{"name": now}</tool_call>', '<tool_call>\n{"name": now}</tool_call>'),
    Golden(
        "hermes",
        "broken, then right",
        f"<tool_call>\n{tagged('now', '{}')}",
        "<tool_call>",
        calls=(("now", "{}"),),
    ),
    Golden(
        "hermes",
        "last brace missing",
        '<tool_call>\n{"name": "now", "arguments": {}\n</tool_call>\nOk',
        "Ok",
        calls=(("now", "{}"),),
    ),
    Golden(
        "hermes",
        "a line break in a string",
        tagged("get_weather", '{"city": "a\n\tb"}'),
        calls=(("get_weather", r'{"city": "a\n\tb"}'),),
    ),
    Golden("hermes", "cut in the tag", "Hi <tool_c", "Hi <tool_c"),
    Golden("hermes", "cut in the name", '<tool_call>\n{"name": "ge', '<tool_call>\n{"name": "ge'),
    Golden(
        "hermes",
        "cut in the arguments",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "a\\',
        calls=(("get_weather", '{"city": "a\\'),),
    ),
    Golden("hermes", "thinking not closed", "<think>\nHm. <tool_call>", reasoning="Hm. <tool_call>"),
    Golden("hermes", "empty thinking", "<think>\n\n</think>\n\nHi", "Hi"),
    Golden("hermes", "thinking opened by the prompt", "Hm.\n</think>\n\nHi", "Hi", "Hm.", tail="assistant\n<think>\n"),
    Golden("hermes", "thinking closed by the prompt", "Hi </think>", "Hi </think>", tail="<think>\n\n</think>\n\n"),
    Golden("hermes", "a tag for thinking in text", "Say <think>no</think>.", "Say <think>no</think>."),
    Golden("hermes", "no tools offered", tagged("now", "{}"), tagged("now", "{}"), tools=()),
    Golden("hermes", "nothing", ""),
]

# Template of Qwen3-Coder: <tool_call>\n<function=f>\n<parameter=p>\nvalue\n</parameter>\n</function>\n</tool_call>
QWEN_CODER = [
    Golden("qwen_coder", "text alone", "if a <b> c", "if a <b> c"),
    Golden(
        "qwen_coder",
        "values by their types",
        "Ok.\n<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
        "<parameter=exact>\ntrue\n</parameter>\n</function>\n</tool_call>",
        "Ok.",
        calls=(("get_weather", '{"city": "12", "days": 3, "exact": true}'),),
    ),
    Golden(
        "qwen_coder",
        "several lines of text",
        '<tool_call>\n<function=get_weather>\n<parameter=city>\n"a"\n\n <b>\\\n</parameter>\n</function>\n</tool_call>',
        calls=(("get_weather", r'{"city": "\"a\"\n\n <b>\\"}'),),
    ),
    Golden(
        "qwen_coder",
        "no schema, and the outer tag forgotten",
        "<function=other>\n<parameter=a>\n[1]\n</parameter>\n<parameter=b>\n[1\n</parameter>\n</function>\n</tool_call>",
        calls=(("other", '{"a": [1], "b": "[1"}'),),
    ),
    Golden(
        "qwen_coder",
        "two calls",
        "<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
        calls=(("now", "{}"), ("now", "{}")),
    ),
    Golden("qwen_coder", "cut in the name", "<tool_call>\n<function=no", "<tool_call>\n<function=no"),
    Golden("qwen_coder", "cut in a value", "<function=now>\n<parameter=a>\nx", calls=(("now", "{"),)),
]

# https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/ and the template of Llama-3.1-8B-Instruct
LLAMA3 = [
    Golden("llama3", "text alone", "Hello {you}", "Hello {you}"),
    Golden(
        "llama3",
        "one call",
        f'{{"name": "get_weather", "parameters": {WEATHER}}}',
        calls=(("get_weather", WEATHER),),
    ),
    Golden(
        "llama3",
        "with its type",
        f'{{"type": "function", "name": "get_weather", "parameters": {HARD}}}',
        calls=(("get_weather", HARD),),
    ),
    Golden(
        "llama3",
        "after the tag",
        'Let me see.<|python_tag|>{"name": "now", "parameters": {}}',
        "Let me see.",
        calls=(("now", "{}"),),
    ),
    Golden(
        "llama3",
        "several",
        '{"name": "now", "parameters": {}}; {"name": "now", "parameters": {}}\n{"name": "now", "parameters": {}}',
        calls=(("now", "{}"),) * 3,
    ),
    Golden(
        "llama3",
        "several after tags",
        '<|python_tag|>{"name": "now", "parameters": {}};<|python_tag|>{"name": "now", "parameters": {}}',
        calls=(("now", "{}"),) * 2,
    ),
    Golden("llama3", "text after", '{"name": "now", "parameters": {}}\n\nOk; so', "Ok; so", calls=(("now", "{}"),)),
    Golden("llama3", "JSON that is no call", '{"answer": {"a": 1}}', '{"answer": {"a": 1}}'),
    Golden("llama3", "JSON with a name", '{"name": "Vega"}', '{"name": "Vega"}'),
    Golden("llama3", "a stranger", '{"name": "x", "parameters": {}}', '{"name": "x", "parameters": {}}'),
    Golden(
        "llama3", "a call in the text", 'So {"name": "now", "parameters": {}}', 'So {"name": "now", "parameters": {}}'
    ),
    Golden("llama3", "Python after the tag", "<|python_tag|>print(1)", "<|python_tag|>print(1)"),
    Golden("llama3", "cut", '{"name": "get_weather", "parameters": {"ci', calls=(("get_weather", '{"ci'),)),
    Golden(
        "llama3", "thinking before it", '<think>a</think>{"name": "now", "parameters": {}}', "", "a", (("now", "{}"),)
    ),
]

# mistral-common: InstructTokenizerV3 writes the array with ids, V11 [CALL_ID], V13 [ARGS] alone; Magistral [THINK]
MISTRAL = [
    Golden("mistral", "text alone", "Hello [you]", "Hello [you]"),
    Golden(
        "mistral",
        "an array with ids",
        f'[TOOL_CALLS] [{{"name": "get_weather", "arguments": {WEATHER}, "id": "D681PevKs"}}, '
        '{"name": "now", "arguments": {}, "id": "x12345678"}]',
        calls=(("get_weather", WEATHER), ("now", "{}")),
        ids=("D681PevKs", "x12345678"),
    ),
    Golden(
        "mistral",
        "an array without ids",
        f'Ok.[TOOL_CALLS][{{"name":"get_weather","arguments":{HARD}}}]',
        "Ok.",
        calls=(("get_weather", HARD),),
    ),
    Golden("mistral", "no array", "[TOOL_CALLS] now please", "[TOOL_CALLS] now please"),
    Golden("mistral", "an empty array", "[TOOL_CALLS][]", "[TOOL_CALLS][]"),
    Golden(
        "mistral",
        "cut before the id",
        '[TOOL_CALLS][{"name":"now","arguments":{}',
        '[TOOL_CALLS][{"name":"now","arguments":{}',
    ),
    Golden(
        "mistral_args",
        "names and arguments",
        f"Ok.[TOOL_CALLS]get_weather[ARGS]{WEATHER}[TOOL_CALLS]now[ARGS]{{}}",
        "Ok.",
        calls=(("get_weather", WEATHER), ("now", "{}")),
    ),
    Golden(
        "mistral_args",
        "an id before the arguments",
        f"[TOOL_CALLS]get_weather[CALL_ID]D681PevKs[ARGS]{HARD}",
        calls=(("get_weather", HARD),),
        ids=("D681PevKs",),
    ),
    Golden("mistral_args", "no arguments", "[TOOL_CALLS]now[ARGS]!", "[TOOL_CALLS]now[ARGS]!"),
    Golden(
        "mistral_args", "marker twice", "[TOOL_CALLS][TOOL_CALLS]now[ARGS]{}", "[TOOL_CALLS]", calls=(("now", "{}"),)
    ),
    Golden("mistral_args", "cut", '[TOOL_CALLS]now[ARGS]{"a": tr', calls=(("now", '{"a": tr'),)),
    Golden("mistral_args", "thinking", "[THINK]Hm.[/THINK]Hi", "Hi", "Hm."),
    Golden("mistral_args", "thinking opened by the prompt", "Hm.[/THINK] Hi", "Hi", "Hm.", tail="[/INST][THINK]"),
]

# https://ai.google.dev/gemma/docs/capabilities/function-calling, the form with JSON
GEMMA = [
    Golden("gemma", "text alone", "Use `x`, not ```y```.", "Use `x`, not ```y```."),
    Golden("gemma", "bare", f'{{"name": "get_weather", "parameters": {WEATHER}}}', calls=(("get_weather", WEATHER),)),
    Golden(
        "gemma",
        "fenced",
        f'Sure.\n```json\n{{"name": "get_weather", "parameters": {HARD}}}\n```\nOk.',
        "Sure.\n\nOk.",
        calls=(("get_weather", HARD),),
    ),
    Golden(
        "gemma",
        "an array in another fence",
        '```tool_code\n[{"name": "now", "parameters": {}}, {"name": "now", "parameters": {}}]\n```',
        calls=(("now", "{}"), ("now", "{}")),
    ),
    Golden(
        "gemma",
        "two fences",
        '```json\n{"name": "now", "parameters": {}}\n```\n```json\n{"name": "now", "parameters": {}}\n```',
        calls=(("now", "{}"), ("now", "{}")),
    ),
    Golden("gemma", "a fence of data", '```json\n{"name": "Vega"}\n```', '```json\n{"name": "Vega"}\n```'),
    Golden("gemma", "a fence of code", "```python\nx\n```", "```python\nx\n```"),
    Golden("gemma", "Python's form", "[now()]", "[now()]"),
]

# Templates of DeepSeek-R1 and DeepSeek-V3.1
DEEPSEEK = [
    Golden("deepseek", "text alone", "1 <｜ 2", "1 <｜ 2", tail="<｜Assistant｜>"),
    Golden(
        "deepseek",
        "thinking opened by the prompt, two calls",
        "Hm.\n</think>\n\nOk.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
        f"{HARD}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{{}}\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "Ok.",
        "Hm.",
        (("get_weather", HARD), ("now", "{}")),
        tail="<｜Assistant｜><think>\n",
    ),
    Golden(
        "deepseek", "thinking opened by the model", "<think>\nHm.\n</think>\n\nHi", "Hi", "Hm.", tail="<｜Assistant｜>"
    ),
    Golden(
        "deepseek_v31",
        "two calls",
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{WEATHER}<｜tool▁call▁end｜>"
        "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        calls=(("get_weather", WEATHER), ("now", "{}")),
        tail="<｜Assistant｜></think>",
    ),
    Golden(
        "deepseek",
        "no arguments",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n<｜tool▁call▁end｜>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n<｜tool▁call▁end｜>",
    ),
    Golden(
        "deepseek",
        "cut",
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{"a": "b',
        calls=(("now", '{"a": "b'),),
    ),
]

# https://cookbook.openai.com/articles/openai-harmony; the other side of `to=` as the template of gpt-oss writes it
GPT_OSS = [
    Golden("gpt_oss", "text alone", "Hello", "Hello", tail="<|start|>assistant"),
    Golden(
        "gpt_oss",
        "thinking and an answer",
        "<|channel|>analysis<|message|>Hm.\nSo.<|end|><|start|>assistant<|channel|>final<|message|>Hi\n\nyou.<|return|>",
        "Hi\n\nyou.",
        "Hm.\nSo.",
    ),
    Golden(
        "gpt_oss",
        "a call",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
        f"<|constrain|>json<|message|>{WEATHER}<|call|>",
        "",
        "Hm.",
        (("get_weather", WEATHER),),
    ),
    Golden(
        "gpt_oss",
        "a call that names the function first",
        f" to=functions.get_weather<|channel|>commentary json<|message|>{HARD}",
        calls=(("get_weather", HARD),),
    ),
    Golden(
        "gpt_oss",
        "words before a call, and two thoughts",
        "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>B<|end|>"
        "<|start|>assistant to=functions.now<|channel|>commentary<|message|>{}<|call|>",
        "I look.",
        "A\n\nB",
        (("now", "{}"),),
    ),
    Golden(
        "gpt_oss",
        "an end forgotten",
        "<|channel|>analysis<|message|>A<|start|>assistant<|channel|>final<|message|>B",
        "B",
        "A",
    ),
    Golden("gpt_oss", "a call without JSON", "<|channel|>commentary to=functions.now<|message|>x", "x"),
    Golden("gpt_oss", "another tool", "<|channel|>analysis to=python code<|message|>1+1<|call|>", "", "1+1"),
    Golden("gpt_oss", "a header cut off", "<|channel|>fin", ""),
    Golden(
        "gpt_oss", "a call cut off", '<|channel|>commentary to=functions.now<|message|>{"a', calls=(("now", '{"a'),)
    ),
    Golden("gpt_oss", "no tools offered", "<|channel|>commentary to=functions.now<|message|>{}", "{}", tools=()),
]

GENERIC = [
    Golden("generic", "text alone", "Hello {you}", "Hello {you}"),
    Golden("generic", "as described", tagged("get_weather", HARD), calls=(("get_weather", HARD),)),
    Golden(
        "generic",
        "two as described, with words",
        f"Ok. {tagged('now', '{}')}\n{tagged('now', '{}')}\nDone.",
        "Ok. \n\nDone.",
        calls=(("now", "{}"), ("now", "{}")),
    ),
    Golden("generic", "without tags", '{"name": "now", "arguments": {}}', calls=(("now", "{}"),)),
    Golden(
        "generic",
        "in a fence, as an array",
        '```json\n[{"name": "now", "parameters": {}}]\n```',
        calls=(("now", "{}"),),
    ),
    Golden("generic", "JSON", '{"name": "Vega", "arguments": {}}', '{"name": "Vega", "arguments": {}}'),
    Golden("generic", "thinking", "\n<think>a</think>b", "b", "a"),
    Golden("generic", "no tools offered", "\n<tool_call>", "\n<tool_call>", tools=()),
]

GOLDENS = [*HERMES, *QWEN_CODER, *LLAMA3, *MISTRAL, *GEMMA, *DEEPSEEK, *GPT_OSS, *GENERIC]
