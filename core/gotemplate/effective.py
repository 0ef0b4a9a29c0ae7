"""The Jinja2 source of a template in either language."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.jinja import to_jinja

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.parser import Parser

JINJA_MARK: Final = "{%"
MAX_TEMPLATE_CHARS: Final = 256 * 1024


@lru_cache(maxsize=256)
def effective_template(source: str) -> str:
    """What an engine is to render: the source itself where it has a `{%`, else the translation from Go's language.

    Raises:
        TemplateNotTranslatable: it is valid in neither.
    """
    if len(source) > MAX_TEMPLATE_CHARS:
        raise TemplateNotTranslatable.at(1, f"it is longer than {MAX_TEMPLATE_CHARS} characters")
    translated = source if JINJA_MARK in source else to_jinja(source)
    _check(translated)
    return translated


class _GenerationBlocks(Extension):
    """`{% generation %}` marks the assistant's words for training."""

    tags = {"generation"}  # noqa: RUF012  jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Leave the tags out and the body in."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _check(source: str) -> None:
    """Read the source without running or compiling it; the engine's sandbox does that later."""
    environment = ImmutableSandboxedEnvironment(extensions=[loopcontrols, _GenerationBlocks])
    try:
        environment.parse(source)
    except Exception as error:  # a stranger's text can raise anything, endless recursion included
        line = getattr(error, "lineno", None) or 1
        raise TemplateNotTranslatable.at(line, f"no valid Jinja2: {str(error) or type(error).__name__}") from error
