"""Chat templates of Ollama models: from Go's template language to Jinja2, which our engines render."""

from __future__ import annotations

from hoshikage.core.gotemplate.effective import effective_template
from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.jinja import to_jinja

__all__ = ["TemplateNotTranslatable", "effective_template", "to_jinja"]
