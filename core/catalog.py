"""The catalogue: every model there is, from the registry and from the plug-ins' sources, with its facts."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.contracts import Message, ModelFacts, ModelRecord, WatchingSource
from hoshikage.core.errors import ModelFileError, ModelLoadFailed, ModelNotFound, RegistryError
from hoshikage.core.gguf import missing_parts, parts_of
from hoshikage.core.gotemplate import TemplateNotTranslatable, effective_template
from hoshikage.core.names import name_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hoshikage.core.contracts import Engine, ModelSource
    from hoshikage.core.gguf import DigestCache
    from hoshikage.core.registry import ModelEntry, Registry

log = structlog.get_logger(__name__)


class Catalog:
    """Finds models by name, and the engine for each.

    Where the registry and a source have one name, the registry's model is used.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        sources: Sequence[ModelSource],
        engines: Sequence[Engine],
        digests: DigestCache,
    ) -> None:
        self._registry = registry
        self._sources = sources
        self._engines = engines
        self._digests = digests
        self._last_entries: Mapping[str, ModelEntry] | None = None
        self._complaint = ""
        self._untranslatable: set[tuple[str, str]] = set()
        self._facts: dict[tuple[object, ...], ModelFacts] = {}

    async def start(self) -> None:
        """Let the sources that watch something begin; one that fails hides no other."""
        for source in self._watching():
            try:
                await source.start()
            except Exception:
                log.exception("model_source_failed", source=getattr(source, "name", "?"))

    async def stop(self) -> None:
        """Let them end."""
        for source in self._watching():
            try:
                await source.stop()
            except Exception:
                log.exception("model_source_failed", source=getattr(source, "name", "?"))

    def models(self) -> list[ModelRecord]:
        """Every model, newest first."""
        found: dict[str, ModelRecord] = {}
        for name, entry in self._entries().items():
            found.setdefault(name_key(name), self._record(name, entry))
        for record in self._offered():
            found.setdefault(name_key(record.name), record)
        return sorted(found.values(), key=lambda r: (-r.modified_at, r.name))

    def registered(self) -> list[ModelRecord]:
        """The registry's models alone, in the order of its file."""
        return [self._record(name, entry) for name, entry in self._entries().items()]

    def model(self, name: str) -> ModelRecord:
        """The model that a name means.

        Raises:
            ModelNotFound: no model has the name.
        """
        key = name_key(name)
        for registered, entry in self._entries().items():
            if name_key(registered) == key:
                return self._record(registered, entry)
        for record in self._offered():
            if name_key(record.name) == key:
                return record
        raise ModelNotFound(name)

    def engine(self, record: ModelRecord) -> Engine:
        """The engine that a model names, or the first that supports it.

        Raises:
            ModelLoadFailed: there is none.
        """
        for engine in self._engines:
            if engine.name == record.engine or (not record.engine and engine.supports(record)):
                return engine
        known = ", ".join(e.name for e in self._engines) or "none"
        wanted = f"the engine {record.engine!r}" if record.engine else "an engine that supports it"
        raise ModelLoadFailed(f"model {record.name!r} needs {wanted}; engines here: {known}")

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """What a model's file says, and the template that is in force; read once per version of the file.

        Raises:
            ModelFileError: the file is gone or damaged.
        """
        key = (record.name, *record.identity())  # models without files differ by their names alone
        if key not in self._facts:
            facts = await self.engine(record).facts(record)
            self._facts[key] = replace(facts, chat_template=record.template) if record.template else facts
        return self._facts[key]

    async def facts_or_none(self, record: ModelRecord) -> ModelFacts:
        """The same for lists, where one damaged file must not hide the others."""
        try:
            return await self.facts(record)
        except (ModelFileError, ModelLoadFailed) as error:
            log.warning("model_facts_unknown", model=record.name, reason=error.message)
            return ModelFacts()

    # --- inside ---

    def _watching(self) -> list[WatchingSource]:
        return [source for source in self._sources if isinstance(source, WatchingSource)]

    def _offered(self) -> Iterator[ModelRecord]:
        """What the sources offer; one that raises is passed over, so that it hides no other model."""
        for source in self._sources:
            try:
                records = list(source.models())
            except Exception:
                log.exception("model_source_failed", source=source.name)
                continue
            yield from records

    def _entries(self) -> Mapping[str, ModelEntry]:
        """The registry's entries; a file that breaks while the server runs leaves the last good ones in force."""
        try:
            self._last_entries = self._registry.entries()
        except RegistryError as error:
            if self._last_entries is None:
                raise
            if error.message != self._complaint:  # the file is looked at every second
                log.error("registry_unreadable", reason=error.message)
            self._complaint = error.message
        return self._last_entries

    def _record(self, name: str, entry: ModelEntry) -> ModelRecord:
        file = self._registry.file_of(entry) if entry.model else None
        record = record_of(
            name,
            file,
            engine=entry.engine,
            stop=self._registry.stop_of(entry),
            options=entry.options,
            digest=(self._digests.model(file) or "") if file else "",
        )
        return replace(
            record,
            template=self._template(name, entry),
            system=entry.system,
            parameters=entry.parameters,
            messages=tuple(Message(m.role, m.content) for m in entry.messages),
        )

    def _template(self, name: str, entry: ModelEntry) -> str:
        """The entry's template for our engines; the file's own stands in for one that they cannot have."""
        if not entry.template or (name, entry.template) in self._untranslatable:
            return ""
        try:
            return effective_template(entry.template)
        except TemplateNotTranslatable as error:
            self._untranslatable.add((name, entry.template))
            log.warning("template_not_used", model=name, reason=error.message)
            return ""


def record_of(
    name: str,
    file: Path | None,
    *,
    engine: str = "",
    stop: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
    digest: str = "",
) -> ModelRecord:
    """A record with size and time read from the file or its parts; a model of which one is gone has neither."""
    size_bytes, modified_at = 0, 0.0
    # One that is deleted between the two looks, or that we may not look at, hides no other model either.
    with contextlib.suppress(OSError):
        if file is not None and not missing_parts(file):
            stats = [part.stat() for part in parts_of(file)]
            size_bytes, modified_at = sum(s.st_size for s in stats), max(s.st_mtime for s in stats)
    stand_in = hashlib.sha256(f"{file}|{name if file is None else ''}|{size_bytes}|{modified_at}".encode()).hexdigest()
    return ModelRecord(
        name=name,
        file=file,
        engine=engine,
        stop=tuple(stop),
        options=dict(options or {}),
        size_bytes=size_bytes,
        modified_at=modified_at,
        # Until the content has been read once, an id that is as unique as the file stands in for its SHA-256.
        digest=digest or stand_in,
    )
