"""How a section of settings is declared: a frozen dataclass whose fields carry unit and reason."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT_SECTION = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a numeric setting, as `Annotated[float, Unit("s"), …]`."""

    name: str


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a setting whose value is never shown, as `Annotated[str, Secret(), …]`."""


@dataclass(frozen=True, slots=True)
class SettingsSection:
    """A named group of settings and the dataclass that gives their types and defaults.

    Attributes:
        name: the table in `settings.toml` and the part before `__` in `HOSHIKAGE_NAME__KEY`.
        schema: a frozen dataclass; every field is `Annotated[type, Meta(description=…), …]` with a default.

    Example:
        >>> @dataclass(frozen=True, slots=True)
        ... class ClockSettings:
        ...     zone: Annotated[str, msgspec.Meta(description="Whose time to tell.")] = "Asia/Tokyo"
        >>> SettingsSection("clock", ClockSettings).name
        'clock'
    """

    name: str
    schema: type[Any]


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting as it was declared: everything a reader or a check needs to know of it."""

    section: str
    name: str
    annotation: Any
    default: Any
    reason: str
    unit: str
    secret: bool

    @property
    def key(self) -> str:
        """The dotted key, e.g. `server.port`; a root setting has no dot."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "HOSHIKAGE_" + self.key.upper().replace(".", "__")

    @property
    def takes_text(self) -> bool:
        """Whether an environment value is taken as it stands, not read as a number or a list."""
        return bool({str, str | None} & {self.annotation, bare_type(self.annotation)})

    def allowed(self) -> str:
        """What a value may be, in words."""
        return describe_type(self.annotation) + (f" [{self.unit}]" if self.unit else "")


def section_fields(section: SettingsSection) -> Iterator[SettingField]:
    """Yield the declared settings of a section, in the order of its dataclass."""
    hints = get_type_hints(section.schema, include_extras=True)
    for field in dataclasses.fields(section.schema):
        annotation = hints[field.name]
        extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
        yield SettingField(
            section=section.name,
            name=field.name,
            annotation=annotation,
            default=_default(field),
            reason=next((e.description for e in extras if isinstance(e, msgspec.Meta) and e.description), ""),
            unit=next((e.name for e in extras if isinstance(e, Unit)), ""),
            secret=any(isinstance(e, Secret) for e in extras),
        )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def bare_type(annotation: Any) -> Any:
    """Strip `Annotated` from a type."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def describe_type(annotation: Any) -> str:
    """Say in words what `annotation` allows: `int >= 1`, `"auto" | "json"`, `list of str`."""
    return _describe(msgspec.inspect.type_info(annotation))


def _describe(info: msgspec.inspect.Type) -> str:
    match info:
        case msgspec.inspect.Metadata():
            return _describe(info.type)
        case msgspec.inspect.UnionType():
            return " or ".join(_describe(t) for t in info.types)
        case msgspec.inspect.LiteralType():
            return " | ".join(f'"{v}"' for v in info.values)
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            return f"list of {_describe(info.item_type)}"
        case msgspec.inspect.NoneType():
            return "unset"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            name = "int" if isinstance(info, msgspec.inspect.IntType) else "float"
            bounds = [(">", info.gt), (">=", info.ge), ("<", info.lt), ("<=", info.le)]
            return " ".join([name, *(f"{op} {limit}" for op, limit in bounds if limit is not None)])
        case _:
            return type(info).__name__.removesuffix("Type").lower()
