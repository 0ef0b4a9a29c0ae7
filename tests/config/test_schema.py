"""Declared sections: what a field says of itself, and types in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from hoshikage import SettingsSection
from hoshikage.config.schema import ROOT_SECTION, describe_type, section_fields
from tests.config.clock import CLOCK


@dataclass(frozen=True, slots=True)
class BareSettings:
    """A section whose field says nothing of itself."""

    words: list[str] = field(default_factory=lambda: ["tick"])


def field_of(name: str, section: SettingsSection = CLOCK):
    return next(f for f in section_fields(section) if f.name == name)


def test_fields_keep_their_order():
    """Fields come in the order of the dataclass."""
    names = [f.name for f in section_fields(CLOCK)]

    assert ["zone", "nickname", "hours", "speed", "offset", "loud", "bells", "dial", "key", "pin"] == names


def test_field_carries_reason_unit_and_default():
    """A field knows its reason, its unit and its default."""
    hours = field_of("hours")

    assert ("Hours on the dial.", "h", 12, False) == (hours.reason, hours.unit, hours.default, hours.secret)


def test_secret_field_is_marked():
    """A field declared secret knows it."""
    assert field_of("key").secret is True


def test_bare_field_has_neither_reason_nor_unit():
    """A field without annotations has no reason and no unit, and a default from its factory."""
    words = field_of("words", SettingsSection("bare", BareSettings))

    assert ("", "", ["tick"]) == (words.reason, words.unit, words.default)


def test_key_and_variable_of_a_section():
    """A setting's key is dotted, its variable has two underscores at the dot."""
    hours = field_of("hours")

    assert ("clock.hours", "HOSHIKAGE_CLOCK__HOURS") == (hours.key, hours.variable)


def test_key_and_variable_of_the_root():
    """A root setting has no dot and no double underscore."""
    words = field_of("words", SettingsSection(ROOT_SECTION, BareSettings))

    assert ("words", "HOSHIKAGE_WORDS") == (words.key, words.variable)


@pytest.mark.parametrize(
    ("name", "takes_text"),
    [("zone", True), ("nickname", True), ("key", True), ("hours", False), ("bells", False), ("dial", False)],
)
def test_only_text_settings_take_text(name: str, takes_text: bool):
    """Text settings take a variable as it stands; all others have it read."""
    assert takes_text == field_of(name).takes_text


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "str"),
        (bool, "bool"),
        (Annotated[int, Meta(ge=1)], "int >= 1"),
        (Annotated[int, Meta(ge=0, le=65535)], "int >= 0 <= 65535"),
        (Annotated[float, Meta(gt=0, lt=1)], "float > 0 < 1"),
        (Literal["json"], '"json"'),
        (Literal["auto", "json"], '"auto" | "json"'),
        (list[int], "list of int"),
        (tuple[str, ...], "list of str"),
        (str | None, "str or unset"),
        (Annotated[int, Meta(description="only words")], "int"),
        (dict[str, Any], "dict"),
    ],
)
def test_types_in_words(annotation: Any, words: str):
    """A type is described by what a value may be."""
    assert words == describe_type(annotation)


def test_allowed_names_the_unit():
    """What is allowed ends with the unit."""
    assert "int >= 1 <= 24 [h]" == field_of("hours").allowed()
