"""The page `docs/settings.md`, written from the declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from hoshikage.config.schema import section_fields
from hoshikage.config.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.config.schema import SettingField, SettingsSection

HEAD = """\
# Settings

Written by `make docs`; do not edit. Each setting can stand in `settings.toml` as `[default.SECTION] KEY = …` (or under
`[development]`, `[testing]`, `[production]`, which `HOSHIKAGE_ENV` chooses), in `.env`, or in the environment as
`HOSHIKAGE_SECTION__KEY`. The environment wins over `.env`, and `.env` over `settings.toml`. `hoshikage config` prints
every effective value and where it came from.
"""


def settings_page(sections: Sequence[SettingsSection]) -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for section in (ROOT, *sections):
        parts.append(f"\n## {section.name or 'Top level'}\n\n{section.schema.__doc__}\n")
        parts.append("\n| key | allowed | default | what for |\n|---|---|---|---|\n")
        parts.extend(_row(field) for field in section_fields(section))
    return "".join(parts)


def _row(field: SettingField) -> str:
    default = orjson.dumps(field.default).decode()
    allowed = field.allowed().replace("|", "\\|")
    return f"| `{field.key}` | {allowed} | `{default}` | {field.reason} |\n"
