"""Which format a model has, and what it makes of a request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hoshikage import ChatRequest, Constraint, Directions, Message, Tool, ToolChoice
from hoshikage.core.errors import InvalidRequest, NotSupported, PluginError
from hoshikage.core.formats import choose_format, format_capabilities, prepare
from tests.fakes import FakeFormat

TOOLS = (Tool("search"), Tool("add"))
REQUEST = ChatRequest("r1", "qwen", messages=(Message("user", "hello"),))
WITH_TOOLS = replace(REQUEST, tools=TOOLS)
REQUIRED, NAMED, NONE = ToolChoice("required"), ToolChoice("named", "add"), ToolChoice("none")


def failures(logs: list) -> list[str]:
    return [line["chat_format"] for line in logs if line["event"] == "chat_format_failed"]


# --- choosing ---


@pytest.mark.parametrize(("template", "name"), [("a", "one"), ("b", "two"), ("", "rest"), ("c", None)])
def test_first_format_that_recognises_the_template_is_chosen(template: str, name: str | None):
    """The formats are asked in their order; where none says yes, there is none."""
    formats = [FakeFormat("one", template="a"), FakeFormat("two", template="b"), FakeFormat("rest", template="")]
    formats.append(FakeFormat("late", template="a"))

    chosen = choose_format(formats, template)

    assert name == (chosen.name if chosen else None)


def test_format_that_breaks_is_passed_over():
    """A format that raises is logged with its name, and the next one is asked."""
    formats = [FakeFormat("broken", failing=frozenset({"recognises"})), FakeFormat("good")]
    with capture_logs() as logs:
        chosen = choose_format(formats, "")

    assert (formats[1], ["broken"]) == (chosen, failures(logs))


@pytest.mark.parametrize(
    ("chat_format", "able"),
    [
        (FakeFormat(able=frozenset({"tools"})), {"tools"}),
        (FakeFormat(able=frozenset({"tools"}), failing=frozenset({"capabilities"})), set()),
        (None, set()),
    ],
    ids=["format", "broken", "none"],
)
def test_capabilities_are_those_of_the_format(chat_format: FakeFormat | None, able: set[str]):
    """A model can do what its format says; nothing where there is none or it breaks."""
    assert able == format_capabilities(chat_format, "")


# --- directions ---


def test_directions_are_those_of_the_format():
    """The engine is told what the format says."""
    given = Directions("<think>", "</think>", markers=("<x>",), template_variables={"a": 1})

    assert given == prepare(REQUEST, FakeFormat(given=given), "").directions


def test_template_variables_of_the_client_win():
    """Format and client both give variables to the template; of one name, the client's counts."""
    given = Directions(template_variables={"a": 1, "b": 1})
    request = replace(REQUEST, template_variables={"b": 2, "c": 2})

    assert {"a": 1, "b": 2, "c": 2} == prepare(request, FakeFormat(given=given), "").directions.template_variables


@pytest.mark.parametrize("prompt", ["raw", "", (1, 2)])
def test_raw_prompt_has_no_format(prompt: str | tuple[int, ...]):
    """A raw prompt goes through as it stands."""
    request = ChatRequest("r1", "qwen", prompt=prompt)

    assert request is prepare(request, FakeFormat(given=Directions("<think>")), "")


def test_request_without_tools_needs_no_format():
    """Where nobody offers a format, requests without tools go through."""
    assert REQUEST == prepare(REQUEST, None, "")


def test_tools_need_a_format():
    """Where nobody offers a format, tools are refused."""
    with pytest.raises(NotSupported, match='"qwen" does not support tools') as error:
        prepare(WITH_TOOLS, None, "")

    assert ("tools", 400) == (error.value.param, error.value.status)


def test_refusal_of_the_format_reaches_the_client():
    """What the format cannot do is refused with its own words."""
    refusal = NotSupported("no tools here", param="tools")
    chat_format = FakeFormat(error=refusal, failing=frozenset({"directions"}))

    with pytest.raises(NotSupported) as error:
        prepare(WITH_TOOLS, chat_format, "")

    assert refusal is error.value


@pytest.mark.parametrize("method", ["directions", "tool_constraint"])
def test_broken_format_is_named(method: str):
    """A format that raises anything else fails the request, and is named in the log and to the client."""
    chat_format = FakeFormat("odd", failing=frozenset({method}))
    with capture_logs() as logs, pytest.raises(PluginError, match="the chat format 'odd' failed"):
        prepare(replace(WITH_TOOLS, tool_choice=REQUIRED), chat_format, "")

    assert ["odd"] == failures(logs)


# --- tool choice ---


def test_without_a_choice_nothing_is_forced():
    """Left to itself, the model is not constrained."""
    prepared = prepare(WITH_TOOLS, FakeFormat(), "")

    assert (TOOLS, None) == (prepared.tools, prepared.constraint)


@pytest.mark.parametrize(
    ("choice", "parallel", "form"),
    [
        (REQUIRED, True, "search,add True"),
        (REQUIRED, False, "search,add False"),
        (NAMED, True, "add False"),
        (NAMED, False, "add False"),
    ],
)
def test_call_that_must_be_made_is_a_constraint(choice: ToolChoice, parallel: bool, form: str):
    """A required call is one of any tool, a named one is one call of that tool; the model still sees all tools."""
    request = replace(WITH_TOOLS, tool_choice=choice, parallel_tool_calls=parallel)

    prepared = prepare(request, FakeFormat(), "")

    assert (TOOLS, Constraint("lark", form, "tools")) == (prepared.tools, prepared.constraint)


def test_forbidden_calls_take_the_tools_away():
    """With `none` the model does not see the tools, and needs no format that knows them."""
    request = replace(WITH_TOOLS, tool_choice=NONE)

    assert ((), ()) == (prepare(request, FakeFormat(), "").tools, prepare(request, None, "").tools)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (replace(REQUEST, tool_choice=REQUIRED), "offers no tools"),
        (replace(REQUEST, tool_choice=NAMED), "offers no tools"),
        (replace(WITH_TOOLS, tool_choice=ToolChoice("named", "sub")), "names 'sub', but .* are: search, add"),
    ],
    ids=["required", "named", "unknown"],
)
@pytest.mark.parametrize("chat_format", [FakeFormat(), None], ids=["format", "none"])
def test_impossible_choice_is_refused(request_: ChatRequest, message: str, chat_format: FakeFormat | None):
    """A call that nothing offered could answer is refused, with the field's name."""
    with pytest.raises(InvalidRequest, match=message) as error:
        prepare(request_, chat_format, "")

    assert "tool_choice" == error.value.param


@pytest.mark.parametrize("choice", [REQUIRED, NAMED])
def test_two_forms_of_one_answer_are_refused(choice: ToolChoice):
    """An answer cannot be a call and have another form as well; the error names the field of that form."""
    request = replace(WITH_TOOLS, tool_choice=choice, constraint=Constraint("json_object", param="format"))

    with pytest.raises(InvalidRequest, match="leave one of them out") as error:
        prepare(request, FakeFormat(), "")

    assert "format" == error.value.param


@pytest.mark.parametrize("choice", [ToolChoice(), NONE])
def test_form_and_offered_tools_go_together(choice: ToolChoice):
    """Where no call must be made, the request's own constraint stays."""
    constraint = Constraint("json_object")
    request = replace(WITH_TOOLS, tool_choice=choice, constraint=constraint)

    assert constraint is prepare(request, FakeFormat(), "").constraint
