"""A model of 135 million parameters, whose template knows no tools, calls one."""

from __future__ import annotations

import json

import pytest

from hoshikage import ChatRequest, Message, Tool, ToolChoice
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.conversation import build_prompt
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate
from tests.plugins.chat_formats.goldens import FORMATS, Collected

TOKENS = 80
TOOLS = (
    Tool(
        "get_weather",
        "Get the weather of a city.",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
    Tool("get_time", "Get the time."),
)
ASKED = ChatRequest(
    "r1",
    "smollm2",
    messages=(Message("user", "What is the weather in Paris?"),),
    tools=TOOLS,
    tool_choice=ToolChoice("required"),
    parallel_tool_calls=False,
)


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:llama_token_get_attr is deprecated")
def test_a_small_model_calls_a_tool(smollm2_path):
    """Described in words and held to the form, the call comes out as it is written, and nothing else."""
    import llama_cpp
    import numpy as np
    from llguidance import LLMatcher
    from llguidance.llamacpp import lltokenizer_from_vocab

    model = llama_cpp.Llama(str(smollm2_path), n_ctx=1024, n_threads=1, verbose=False)
    template = model.metadata["tokenizer.chat_template"]
    chat_format = FORMATS["generic"]
    assert chat_format.recognises(template)
    grammar = LLMatcher.grammar_from_lark(chat_format.tool_constraint(TOOLS, parallel=False).source)
    matcher = LLMatcher(lltokenizer_from_vocab(model._model.vocab), grammar)

    found = Collected(chat_format.parser(ASKED, "<|im_start|>assistant\n"))
    model.eval(model.tokenize(prompt(template, chat_format).encode(), add_bos=False, special=True))
    for _ in range(TOKENS):
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(model._ctx.ctx, -1), shape=(model.n_vocab(),))
        allowed = np.frombuffer(matcher.compute_logit_bias(), np.uint8)[: model.n_vocab()] > 0
        token = int(np.where(allowed, logits, -np.inf).argmax())
        if token == model.token_eos():
            break
        assert matcher.consume_token(token)
        found.push(model.detokenize([token]).decode())
        model.eval([token])
    found.finish()

    assert ("", "", 1) == (found.content, found.reasoning, len(found.calls))
    assert "get_weather" == found.calls[0][1]
    assert {"city": "Paris"} == json.loads(found.calls[0][2])


def prompt(template: str, chat_format) -> str:
    """The prompt as the worker builds it."""
    directions = chat_format.directions(template, ASKED)
    frame = frames.Generate(
        1,
        [frames.Turn(message.role, message.content) for message in ASKED.messages],
        None,
        frames.SamplingParams(),
        None,
        [],
        template_variables=dict(directions.template_variables),
    )
    return build_prompt(ChatTemplate(template, bos="<|im_start|>", eos="<|im_end|>"), frame)
