"""The echo engine: what it says of its models, and how it loads them."""

from __future__ import annotations

import asyncio

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hoshikage import ModelRecord
from hoshikage.core.errors import ModelLoadFailed
from hoshikage.plugins.engine_echo.engine import CHAT_TEMPLATE, EchoEngine
from hoshikage.plugins.engine_echo.settings import EchoSettings
from tests.plugins.engine_echo.asking import model_of

LONG_S = 60.0


async def test_load_fails_on_command():
    """With `fail_load` the load fails with the message."""
    with pytest.raises(ModelLoadFailed, match="'echo' cannot be loaded: no memory"):
        await model_of(fail_load="no memory")


async def test_load_takes_its_time():
    """With `load_delay_s` the load does not end before."""
    task = asyncio.create_task(model_of(load_delay_s=LONG_S))
    done, _ = await asyncio.wait({task}, timeout=0.01)
    task.cancel()

    assert set() == done


async def test_options_of_a_model_win():
    """A model's own options take the place of the settings."""
    record = ModelRecord("small", engine="echo", options={"context_length": 8})
    model = await EchoEngine(EchoSettings(context_length=100)).load(record)

    assert 8 == model.context_length


@pytest.mark.parametrize("options", [{"context_length": "many"}, {"context_length": 1}, {"fail_after": -2}])
async def test_bad_option_is_a_failed_load(options: dict[str, object]):
    """An option of a wrong type or out of range fails the load with the model's name."""
    with pytest.raises(ModelLoadFailed, match="'x' has a bad option"):
        await EchoEngine(EchoSettings()).load(ModelRecord("x", engine="echo", options=options))


@pytest.mark.parametrize(("engine", "supported"), [("echo", True), ("", False), ("llamacpp", False)])
def test_only_models_that_name_it_are_supported(engine: str, supported: bool):
    """The engine never stands in for a real one."""
    assert supported == EchoEngine(EchoSettings()).supports(ModelRecord("m", engine=engine))


async def test_facts_are_those_of_an_echo():
    """The facts have the model's name and the context that it claims."""
    facts = await EchoEngine(EchoSettings(context_length=64)).facts(ModelRecord("parrot", engine="echo"))

    assert ("echo", "parrot", 64) == (facts.architecture, facts.name, facts.context_length)


async def test_facts_say_that_it_makes_vectors():
    """The facts have the width of its vectors, and that there are some."""
    facts = await EchoEngine(EchoSettings()).facts(ModelRecord("parrot", engine="echo"))

    assert (64, 64, 1) == (
        facts.embedding_length,
        facts.metadata["echo.embedding_length"],
        facts.metadata["echo.pooling_type"],
    )


@pytest.mark.parametrize(("options", "template"), [({}, CHAT_TEMPLATE), ({"chat_template": "{{ x }}"}, "{{ x }}")])
async def test_template_can_be_chosen(options: dict[str, object], template: str):
    """An echo claims a template of its own, or the one that it is told."""
    record = ModelRecord("parrot", engine="echo", options=options)
    facts = await EchoEngine(EchoSettings()).facts(record)

    assert template == facts.chat_template


def test_own_template_can_be_rendered():
    """The template that it claims renders messages and tools."""
    template = ImmutableSandboxedEnvironment().from_string(CHAT_TEMPLATE)
    messages = [{"role": "user", "content": "hi"}]

    plain = template.render(messages=messages, add_generation_prompt=True)
    quiet = template.render(messages=messages, tools=[{"name": "f"}], add_generation_prompt=True, enable_thinking=False)

    assert "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" == plain
    assert '{"name": "f"}' in quiet
    assert quiet.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
