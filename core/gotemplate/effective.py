"""The Jinja2 source of a template in either language."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.jinja import to_jinja

JINJA_MARK: Final = "{%"
# Twice the longest that is published. To read four times as much takes many seconds, and an engine gives up before.
MAX_TEMPLATE_CHARS: Final = 64 * 1024


@lru_cache(maxsize=256)
def effective_template(source: str) -> str:
    """What an engine is to render: the source itself where it has a `{%`, else the translation from Go's language.

    Raises:
        TemplateNotTranslatable: it is valid in neither.
    """
    if len(source) > MAX_TEMPLATE_CHARS:
        raise TemplateNotTranslatable.at(1, f"it is longer than {MAX_TEMPLATE_CHARS} characters")
    translated = source if JINJA_MARK in source else to_jinja(source)
    from hoshikage.core.gotemplate.jinja_check import check_jinja

    check_jinja(translated)
    return translated
