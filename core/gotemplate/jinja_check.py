"""Whether a text is valid Jinja2; apart from the rest, because every command would wait for that library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.parser import Parser


def check_jinja(source: str) -> None:
    """Read the source without running or compiling it; the engine's sandbox does that later.

    Raises:
        TemplateNotTranslatable: it cannot be read.
    """
    environment = ImmutableSandboxedEnvironment(extensions=[loopcontrols, _GenerationBlocks])
    try:
        _check_names(environment.parse(source), environment)
    except TemplateNotTranslatable:
        raise
    except Exception as error:  # a stranger's text can raise anything, endless recursion included
        line = getattr(error, "lineno", None) or 1
        raise TemplateNotTranslatable.at(line, f"no valid Jinja2: {str(error) or type(error).__name__}") from error


def _check_names(tree: nodes.Template, environment: Environment) -> None:
    """Compiling would do this, but it also computes whatever is constant in the source."""
    for kind, known in ((nodes.Filter, environment.filters), (nodes.Test, environment.tests)):
        for node in tree.find_all(kind):
            if node.name not in known:
                what = kind.__name__.lower()
                raise TemplateNotTranslatable.at(node.lineno, f"no valid Jinja2: there is no {what} {node.name[:40]!r}")


class _GenerationBlocks(Extension):
    """`{% generation %}` marks the assistant's words for training."""

    tags = {"generation"}  # noqa: RUF012  jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Leave the tags out and the body in."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
