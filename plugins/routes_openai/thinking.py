"""How much a model thinks, for which every server has words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import Thinking
from hoshikage.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage import Effort
    from hoshikage.plugins.routes_openai.bodies import ChatBody

# No template knows more than four degrees.
EFFORTS: dict[str, Effort] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
SWITCH = "enable_thinking"
# The server fills these in, from fields of their own.
TAKEN = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"})


def thinking(body: ChatBody) -> Thinking:
    """The thinking that a body asks for: `think` goes before the template's switch, that before the effort.

    An effort alone leaves it open whether the model thinks, so that it does no harm to models that cannot.

    Raises:
        InvalidRequest: an unknown word, or a switch that is no boolean.
    """
    wished = _effort(body.reasoning_effort, "reasoning_effort")
    asked = Thinking(enabled=body.think) if isinstance(body.think, bool) else _effort(body.think, "think")
    if isinstance(body.think, str) and asked.enabled is None:
        asked = Thinking(enabled=True, effort=asked.effort)
    enabled = next((e for e in (asked.enabled, _switch(body), wished.enabled) if e is not None), None)
    return Thinking(enabled=enabled, effort=asked.effort or wished.effort, budget_tokens=_budget(body))


def template_variables(body: ChatBody) -> Mapping[str, object]:
    """What the client gives to the chat template by name.

    Raises:
        InvalidRequest: a name that the server fills in itself.
    """
    variables = body.chat_template_kwargs or {}
    for name in TAKEN & variables.keys():
        field = f"chat_template_kwargs.{name}"
        raise InvalidRequest(f"{field}: the server sets this itself; leave it out", param=field)
    return variables


def _effort(word: str | None, field: str) -> Thinking:
    if word is None:
        return Thinking()
    if word == "none":
        return Thinking(enabled=False)
    if word not in EFFORTS:
        raise InvalidRequest(f"{field}: {word[:40]!r} is unknown; send none, {', '.join(EFFORTS)}", param=field)
    return Thinking(effort=EFFORTS[word])


def _switch(body: ChatBody) -> bool | None:
    value = (body.chat_template_kwargs or {}).get(SWITCH)
    if value is not None and not isinstance(value, bool):
        field = f"chat_template_kwargs.{SWITCH}"
        raise InvalidRequest(f"{field}: expected a boolean, got {str(value)[:40]!r}", param=field)
    return value


def _budget(body: ChatBody) -> int | None:
    """-1 is the word of llama.cpp's server for no limit."""
    given = body.thinking_budget if body.thinking_budget is not None else body.thinking_budget_tokens
    return None if given == -1 else given
