"""docs/models.md says nothing that is not there: its commands, settings, defaults and links, in both languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
import typer.main

from hoshikage.config.legacy import OLD_NAMES
from hoshikage.config.schema import section_fields
from hoshikage.core.cli import build_cli
from hoshikage.core.manager import PluginChoice, PluginManager
from hoshikage.core.settings import KERNEL_SECTIONS

ROOT = Path(__file__).parents[2]
ENGLISH, JAPANESE = ROOT / "docs" / "models.md", ROOT / "docs" / "models.ja.md"
PAGES = [ENGLISH, JAPANESE]
BOTH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code_spans(page: Path) -> list[str]:
    """Everything that stands between backticks."""
    return re.findall(r"`([^`\n]+)`", page.read_text())


def settings() -> dict[str, object]:
    """The default of each setting of the kernel and of the built-in plug-ins."""
    declared = [*KERNEL_SECTIONS, *PluginManager.discover(PluginChoice(safe_mode=True)).setting_sections()]
    return {field.key: field.default for section in declared for field in section_fields(section)}


def setting_rows(page: Path) -> list[tuple[list[str], str, list[str]]]:
    """The table of settings: keys, old name, defaults."""
    rows = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.match(r"`\w+\.\w+`", cells[0]):
            keys = re.findall(r"`([^`]+)`", cells[0])
            rows.append((keys, cells[1].strip("`"), re.split(r"[,、]\s*", cells[2].replace("`", ""))))
    return rows


def commands(page: Path) -> list[list[str]]:
    """The commands that a page names, in words."""
    spans = [span for span in code_spans(page) if span.startswith("hoshikage ")]
    return [shlex.split(span)[1:] for span in spans]


@BOTH
def test_every_command_exists_with_its_options(page: Path):
    """Each `hoshikage …` on the page is a command that has the options shown."""
    root = typer.main.get_command(build_cli())
    named = commands(page)

    assert len(named) > 10
    for words in named:
        command: Any = root
        for word in words:
            if (inner := getattr(command, "commands", None)) is None:
                break
            assert word in inner, words
            command = inner[word]
        assert not hasattr(command, "commands"), f"{words} is not a whole command"
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


@BOTH
def test_every_setting_exists(page: Path):
    """Each `section.key` on the page is a setting."""
    named = {s.partition(" ")[0] for s in code_spans(page) if re.match(r"[a-z_]+\.(?!json|yml)[a-z_]+( = .*)?$", s)}

    assert len(named) > 15
    assert named <= settings().keys()


@BOTH
def test_table_says_the_defaults_and_old_names(page: Path):
    """The table of settings has each one's default, and the name that meant it in earlier versions."""
    known, rows = settings(), setting_rows(page)
    old = {key: name for name, key in OLD_NAMES.items() if name in page.read_text()}

    assert len(rows) > 10
    for keys, old_name, defaults in rows:
        assert [orjson.loads(default) for default in defaults] == [_plain(known[key]) for key in keys], keys
        assert old.get(keys[0], "") == old_name


@BOTH
def test_every_link_leads_somewhere(page: Path):
    """Files and headings that the page links to exist."""
    text = page.read_text()
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.+)$", text, re.MULTILINE)}

    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (page.parent / target).is_file(), target


def test_both_languages_say_the_same():
    """The pages have the same sections, tables and settings, and name the same commands and routes."""
    english, japanese = (page.read_text() for page in PAGES)

    assert english.count("\n## ") == japanese.count("\n## ")
    assert english.count("\n|") == japanese.count("\n|")
    assert setting_rows(ENGLISH) == setting_rows(JAPANESE)
    assert [words[0] for words in commands(ENGLISH)] == [words[0] for words in commands(JAPANESE)]
    assert routes(ENGLISH) == routes(JAPANESE)


def test_both_pictures_are_drawn_alike():
    """The two pictures differ in their words only."""
    english, japanese = ([element.tag for element in ET.parse(page.with_suffix(".svg")).iter()] for page in PAGES)

    assert len(english) > 50
    assert english == japanese


def routes(page: Path) -> set[str]:
    """The paths of the interface that a page names."""
    return set(re.findall(r"`(?:GET |POST )?(/(?:v1|api)/[\w/…]+)", page.read_text()))


def _plain(value: object) -> object:
    return orjson.loads(orjson.dumps(value))
