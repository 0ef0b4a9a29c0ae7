"""Chat templates: the conversations they write, and how those that misbehave are stopped."""

from __future__ import annotations

import contextlib
import datetime
import gc
import resource
import signal
import time
from typing import TYPE_CHECKING

import pytest

from hoshikage.plugins.engine_llamacpp.worker import template
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate, TemplateRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT_LIMIT_S = 0.2
STOPPED_WITHIN_S = 10.0  # a busy machine; what is not stopped takes minutes or gigabytes
MEMORY_BOUND_KIB = 1 << 20

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURNS = [{"role": "user", "content": "星を見る"}]

# Each would take the memory, the time or the secrets of the process if one bound were missing.
HOSTILE = {
    "endless loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "endless recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "deep nesting": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a long sum": "{{ " + "+".join(["1"] * 20_000) + " }}",
    "slow text": "{{ lipsum(n=100000) }}",
    "huge output": "{% for a in range(99999) %}{{ 'a' * 1000000 }}{% endfor %}",
    "repetition": "{{ 'a' * 1000000000 }}",
    "repetition from the right": "{{ 1000000000 * 'a' }}",
    "repetition of a list": "{{ [0] * 1000000000 }}",
    "a power": "{{ 9 ** 999999999 }}",
    "repetition by a power": "{{ 'a' * 10**9 }}",
    "squares": "{% set n = namespace(x=3) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "huge division": "{% set n = ('9' * 4000)|int * ('9' * 4000)|int * ('9' * 4000)|int * ('9' * 4000)|int %}"
    "{% set n = n * n * n %}{{ n // 3 }}{{ n % 7 }}",
    "doubling by ~": "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling by +": "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a huge range": "{{ range(10**9) }}",
    "a huge range without a power": "{% for i in range(1000000000) %}{% endfor %}",
    "centring": "{{ 'a'|center(1000000000) }}",
    "centring what is not constant": "{{ messages[0].content|center(1000000000) }}",
    "joining": "{{ (['a' * 1000000] * 1000000)|join }}",
    "a width by %": "{{ '%1000000000d' % 1 }}",
    "a width by the format filter": "{{ '%1000000000d'|format(1) }}",
    "a width by format": "{{ '{:1000000000}'.format(1) }}",
    "a width by an argument": "{{ '{:>{w}}'.format(1, w=1000000000) }}",
    "padding": "{{ 'a'.ljust(1000000000) }}",
    "replacing": "{{ ('a' * 1000000)|replace('', 'a' * 1000000) }}",
    "indented JSON": "{{ messages|tojson(indent=1000000000) }}",
    "the classes": "{{ ''.__class__.__mro__ }}",
    "the globals of a function": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "the globals of a class": "{{ cycler.__init__.__globals__.os }}",
    "the globals of our function": "{{ raise_exception.__globals__.json }}",
    "a format string that walks": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "another file": "{% include '/etc/passwd' %}",
}


# --- what templates write ---


def test_a_file_without_a_template_gets_chatml():
    """An empty source writes ChatML, with the beginning of the answer."""
    turns = [{"role": "system", "content": "Be short."}, *TURNS]

    expected = "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n星を見る<|im_end|>\n<|im_start|>assistant\n"
    assert expected == render("", turns)


def test_the_template_of_the_small_model():
    """A template as files really carry them adds its own system turn."""
    expected = (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\n星を見る<|im_end|>\n<|im_start|>assistant\n"
    )

    assert expected == render(SMOLLM2)


def test_templates_know_the_special_tokens():
    """`bos_token` and `eos_token` are the model's."""
    compiled = ChatTemplate("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", bos="<s>", eos="</s>")

    assert "<s>星を見る</s>" == compiled.render(TURNS)


def test_blocks_leave_no_white_space():
    """Lines that hold only a block disappear, as in the library that templates are written for."""
    assert "a\nb\n" == render("{% for x in 'ab' %}\n  {% if true %}\n{{ x }}\n  {% endif %}\n{% endfor %}\n")


def test_loops_can_be_left():
    """`break` and `continue` are known; many templates use them."""
    assert "02" == render("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}"
                          "{% endif %}{{ i }}{% endfor %}")  # fmt: skip


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("tojson", '{"影": [1, "<b>"]}'),
        ("tojson(indent=1)", '{\n "影": [\n  1,\n  "<b>"\n ]\n}'),
        ("tojson(ensure_ascii=True)", '{"\\u5f71": [1, "<b>"]}'),
        ("tojson(separators=(',', ':'))", '{"影":[1,"<b>"]}'),
    ],
)
def test_tojson_keeps_japanese(call, expected):
    """JSON in prompts is what the model was trained on: no escapes unless they are asked for."""
    assert expected == render("{{ {'影': [1, '<b>']}|" + call + " }}")


def test_strftime_now_is_the_local_date():
    """Templates that tell the model today's date can."""
    before = datetime.datetime.now().astimezone().strftime("%Y-%m-%d")
    written = render("{{ strftime_now('%Y-%m-%d') }}")
    after = datetime.datetime.now().astimezone().strftime("%Y-%m-%d")

    assert written in {before, after}


def test_generation_blocks_are_written_as_they_are():
    """The marks of what is learnt in training leave no trace, and may stand around other blocks."""
    source = "{% for x in 'ab' %}[{% generation %}{% if x == 'a' %}{{ x }}{% endif %}{% endgeneration %}]{% endfor %}"

    assert "[a][]" == render(source)


@pytest.mark.parametrize("source", ["{% generation %}a", "a{% endgeneration %}"])
def test_half_a_generation_block_is_invalid(source):
    """A block that is not closed, or not opened, is noticed when the model is loaded."""
    with pytest.raises(TemplateRefused, match="the model's chat template is invalid: "):
        ChatTemplate(source, bos="", eos="")


def test_templates_get_tools_and_variables():
    """Tools go by their name, and whatever else a template knows by its own."""
    compiled = ChatTemplate("{{ tools[0].function.name }} {{ mood }} {{ documents is none }}", bos="", eos="")

    assert "look calm True" == compiled.render(
        TURNS, tools=[{"function": {"name": "look"}}], variables={"mood": "calm"}
    )


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_are_none(tools):
    """Templates ask whether tools are none; an empty list is no tools as well."""
    compiled = ChatTemplate("{{ tools is defined and tools is none }} {{ mood is defined }}", bos="", eos="")

    assert "True False" == compiled.render(TURNS, tools=tools)


def test_variables_do_not_replace_what_the_server_gives():
    """A client's variables cannot put other messages or tokens in place of the request's."""
    compiled = ChatTemplate("{{ bos_token }}{{ messages|length }}{{ tools }}", bos="<s>", eos="")

    assert "<s>1None" == compiled.render(TURNS, variables={"messages": [], "bos_token": "x", "tools": [1]})


def test_the_beginning_of_the_answer_can_be_left_out():
    """A prompt that is the conversation alone ends with its last turn."""
    prompt = ChatTemplate("", bos="", eos="").render(TURNS, add_generation_prompt=False)

    assert "<|im_start|>user\n星を見る<|im_end|>\n" == prompt


# --- what templates refuse ---


def test_raise_exception_refuses_with_its_message():
    """A template that wants alternating roles says so to the caller."""
    message = refusal("{{ raise_exception('roles must alternate') }}")

    assert "the model's chat template refuses this conversation: roles must alternate" == message


@pytest.mark.parametrize("source", ["{% for %}", "{{ 1 +", "{% endif %}", "{% nonsense %}", "{{ 1|nonsense }}"])
def test_invalid_syntax_is_refused_when_the_model_is_loaded(source):
    """A source that is no template is noticed before the first request."""
    with pytest.raises(TemplateRefused, match="the model's chat template is invalid: "):
        ChatTemplate(source, bos="", eos="")


@pytest.mark.parametrize(
    "source",
    ["{{ nothing.here }}", "{{ 1 // 0 }}", "{{ messages[9].role }}", "{{ 'a' + 1 }}", "{{ 1 }}{{ none.x() }}"],
)
def test_a_template_that_fails_is_a_refusal(source):
    """A mistake in a template is an answer to one caller, not the end of the worker."""
    assert refusal(source).startswith("the model's chat template failed on this conversation: ")


@pytest.mark.parametrize(
    "statement",
    ["messages.append(1)", "messages[0].update({'role': 'x'})", "messages.clear()", "messages[0].pop('role')"],
)
def test_a_template_cannot_change_its_input(statement):
    """The conversation is the caller's; the sandbox lets nobody write to it."""
    turns = [dict(TURNS[0])]
    message = refusal("{% set _ = " + statement + " %}", turns)

    assert ("the model's chat template was stopped", TURNS) == (message.partition(":")[0], turns)


# --- what templates must not do ---


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Hypothesis listens to the garbage collector, and would be called at the very end of the stack."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_stopped(source, monkeypatch, no_collection):
    """What takes time, memory or secrets becomes a refusal, soon and without taking the memory first."""
    monkeypatch.setattr(template, "RENDER_LIMIT_S", SHORT_LIMIT_S)
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    refusal(source)

    assert time.monotonic() - began < STOPPED_WITHIN_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before < MEMORY_BOUND_KIB


@pytest.mark.parametrize(
    "attribute",
    ["lipsum.__globals__", "messages.__class__", "''|attr('__class__')", "''|attr('__class__')|attr('__mro__')|join"],
)
def test_a_forbidden_attribute_writes_nothing(attribute):
    """The sandbox has nothing behind a forbidden attribute that could be written out."""
    assert "" == render("{{ " + attribute + " }}")


def test_the_refusal_names_the_time_limit(monkeypatch):
    """Who wrote the template reads what it did wrong."""
    monkeypatch.setattr(template, "RENDER_LIMIT_S", SHORT_LIMIT_S)

    assert "the model's chat template was stopped: it ran longer than 0.2 s" == refusal(HOSTILE["endless loops"])


def test_ordinary_arithmetic_is_not_bounded():
    """The operators under a bound do in small what they always did."""
    assert "6 ababab [0, 0] 2 1 05 3.0" == render(
        "{{ 2 * 3 }} {{ 'ab' * 3 }} {{ [0] * 2 }} {{ 5 // 2 }} {{ 5 % 2 }} {{ '%02d' % 5 }} {{ 1.5 * 2 }}"
    )


@pytest.mark.parametrize("source", ["{{ 1 }}", "{{ raise_exception('no') }}", HOSTILE["endless loops"]])
def test_alarm_and_memory_limit_are_put_back(source, monkeypatch):
    """After a rendering, however it ended, nothing of its limits is left in the process."""
    monkeypatch.setattr(template, "RENDER_LIMIT_S", SHORT_LIMIT_S)
    before = process_limits()
    with contextlib.suppress(TemplateRefused):
        render(source)

    assert ((0.0, 0.0), before) == (signal.getitimer(signal.ITIMER_REAL), process_limits())


def test_a_template_still_works_after_it_was_stopped(monkeypatch):
    """One caller's endless conversation does not spoil the template for the next."""
    monkeypatch.setattr(template, "RENDER_LIMIT_S", SHORT_LIMIT_S)
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    compiled = ChatTemplate("{% if messages|length > 1 %}" + loop + "{% endif %}ok", bos="", eos="")
    with pytest.raises(TemplateRefused):
        compiled.render(TURNS * 2)

    assert "ok" == compiled.render(TURNS)


def render(source: str, turns: list[dict[str, str]] = TURNS) -> str:
    """What a template without special tokens writes."""
    return ChatTemplate(source, bos="", eos="").render(turns)


def refusal(source: str, turns: list[dict[str, str]] = TURNS) -> str:
    """How a template is refused, when it is compiled or rendered."""
    with pytest.raises(TemplateRefused) as caught:
        render(source, turns)
    return str(caught.value)


def process_limits() -> object:
    """The parts of the process that rendering changes for a while."""
    return signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_AS)
