"""A chat template in Go's language as one in Jinja2, for conversations as our engines get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hoshikage.core.gotemplate.nodes import Output, Reference
from hoshikage.core.gotemplate.parser import parse
from hoshikage.core.gotemplate.statements import Writer, changed_variables, root_fields, up_to_response
from hoshikage.core.gotemplate.values import Scope, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hoshikage.core.gotemplate.nodes import Node

# What Ollama does before it renders: neighbours of one role become one message, and all system messages one text.
_MESSAGES: Final = (
    "{% set v = namespace(system='', messages=[]) %}"
    "{% for m in messages %}"
    "{% set text = (m['content'] if m['content'] is string else '') %}"
    "{% set last = (v.messages[-1] if v.messages else {}) %}"
    "{% if m['role'] == 'system' %}{% set v.system = v.system ~ ('\\n\\n' if v.system else '') ~ text %}{% endif %}"
    "{% if last and last['role'] == m['role'] and m['role'] != 'tool'"
    " and not m.get('tool_calls') and not last.get('tool_calls') %}"
    "{% set v.messages = v.messages[:-1] + [dict(last, content=last['content'] ~ '\\n\\n' ~ text)] %}"
    "{% else %}{% set v.messages = v.messages + [dict(m, content=text)] %}{% endif %}"
    "{% endfor %}"
)
# Templates without a list of messages are rendered once for each turn: a system message, a prompt and its answer.
_NEXT_TURN: Final = (
    "{% set v.turns = v.turns + [dict(system=v.system, prompt=v.prompt, response=v.response)] %}"
    "{% set v.system = '' %}{% set v.prompt = '' %}{% set v.response = '' %}"
)
_TURNS: Final = (
    f"{_MESSAGES}"
    "{% set v.turns = [] %}{% set v.system = '' %}{% set v.prompt = '' %}{% set v.response = '' %}"
    "{% for m in v.messages %}"
    f"{{% if m['role'] == 'system' %}}{{% if v.prompt or v.response %}}{_NEXT_TURN}{{% endif %}}"
    "{% set v.system = m['content'] %}"
    "{% elif m['role'] == 'assistant' %}{% set v.response = m['content'] %}"
    f"{{% else %}}{{% if v.response %}}{_NEXT_TURN}{{% endif %}}{{% set v.prompt = m['content'] %}}{{% endif %}}"
    f"{{% endfor %}}{_NEXT_TURN}"
)
_SHOWN: Final = (
    "{% macro shown(x) %}{% if x is string or x is number and x is not boolean %}{{ x }}"
    "{% elif x is defined and x is not none %}{{ x|tojson(separators=(',', ':')) }}{% endif %}{% endmacro %}"
)

_COMMON: Final[Mapping[str, Value]] = {
    "Tools": Value("(tools or [])", "list"),
    "Think": Value("(enable_thinking if enable_thinking is defined else true)", "bool"),
    "IsThinkSet": Value("(enable_thinking is defined)", "bool"),
    "ThinkLevel": Value("(reasoning_effort if reasoning_effort is defined else '')", "text"),
    "Suffix": Value("''", "text"),  # text around a gap goes to the model without a template
}
OF_MESSAGES: Final[Mapping[str, Value]] = {
    **_COMMON,
    "Messages": Value("v.messages", "list"),
    "System": Value("v.system", "text"),
    "Prompt": Value("''", "text"),
    "Response": Value("''", "text"),
}
OF_TURNS: Final[Mapping[str, Value]] = {
    **_COMMON,
    "System": Value("turn['system']", "text"),
    "Prompt": Value("turn['prompt']", "text"),
    "Response": Value("turn['response']", "text"),
}


def to_jinja(source: str) -> str:
    """Translate a template.

    Raises:
        TemplateNotTranslatable: it is no template, or uses what is not known here; the line and the reason are named.
    """
    body = parse(source)
    writer = Writer(frozenset(changed_variables(body)))
    if "Messages" in root_fields(body):
        code = _MESSAGES + writer.write(body, Scope(OF_MESSAGES))
    else:
        code = _TURNS + _for_turns(body, writer)
    return (_SHOWN if "shown(" in code else "") + code


def _for_turns(body: Sequence[Node], writer: Writer) -> str:
    last, found = up_to_response(body)
    if not found:
        last = body = (*body, Output(Reference("", ("Response",), 1), 1))
    whole = writer.write(body, Scope(OF_TURNS))
    cut = writer.write(last, Scope(OF_TURNS))
    return f"{{% for turn in v.turns[:-1] %}}{whole}{{% endfor %}}{{% for turn in v.turns[-1:] %}}{cut}{{% endfor %}}"
