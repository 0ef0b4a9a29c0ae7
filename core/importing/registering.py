"""Registering what was found, so that doing it again changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hoshikage.core.names import name_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.gguf import DigestCache
    from hoshikage.core.importing.found import Found
    from hoshikage.core.registry import ModelEntry, Registry

Outcome = Literal["added", "updated", "unchanged", "name taken"]


def register_found(found: Found, registry: Registry, digests: DigestCache) -> Outcome:
    """Register a model, unless another has its name; one that came from the same place before is brought up to date.

    Raises:
        RegistryError: the registry cannot be read or written.
    """
    outcome = outcome_of(found, registry)
    if outcome in ("added", "updated"):
        if found.digest and digests.get(found.file) is None:
            # The other program has checked it when it took the file in. Reading every file again would take minutes.
            digests.put(found.file, found.digest)
        registry.put(found.name, found.entry, settle=_owns_nothing)
    return outcome


def outcome_of(found: Found, registry: Registry) -> Outcome:
    """What registering it would do."""
    key = name_key(found.name)
    known = next((entry for name, entry in registry.entries().items() if name_key(name) == key), None)
    if known is None:
        return "added"
    if known == found.entry:
        return "unchanged"
    # What was created from an imported model, perhaps under its very name, is somebody's own work.
    return "updated" if known.source == found.entry.source and not known.parent else "name taken"


def _owns_nothing(gone: ModelEntry, left: Sequence[ModelEntry]) -> None:
    """An entry of another program's model owns no files."""
