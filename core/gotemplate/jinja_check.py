"""Whether a text is valid Jinja2; apart from the rest, because every command would wait for that library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.parser import Parser


def check_jinja(source: str) -> None:
    """Read the source without running or compiling it; the engine's sandbox does that later.

    Raises:
        TemplateNotTranslatable: it cannot be read.
    """
    environment = ImmutableSandboxedEnvironment(extensions=[loopcontrols, _GenerationBlocks])
    try:
        environment.parse(source)
    except Exception as error:  # a stranger's text can raise anything, endless recursion included
        line = getattr(error, "lineno", None) or 1
        raise TemplateNotTranslatable.at(line, f"no valid Jinja2: {str(error) or type(error).__name__}") from error


class _GenerationBlocks(Extension):
    """`{% generation %}` marks the assistant's words for training."""

    tags = {"generation"}  # noqa: RUF012  jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Leave the tags out and the body in."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
