"""The one error of this package."""

from __future__ import annotations

from hoshikage.core.errors import InvalidRequest


class TemplateNotTranslatable(InvalidRequest):
    """A chat template uses something that has no counterpart here, or is no template at all."""

    code = "template_not_translatable"

    @classmethod
    def at(cls, line: int, problem: str) -> TemplateNotTranslatable:
        """Name the line and what is wrong there."""
        return cls(
            f"template, line {line}: {problem}; change it, or send the template in Jinja2 (a text with {{% is taken as "
            "that)",
            param="template",
        )
