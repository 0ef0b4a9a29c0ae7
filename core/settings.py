"""The kernel's own settings, by section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from hoshikage.config.schema import SettingsSection, Unit


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The HTTP side."""

    host: Annotated[str, Meta(description="The address to bind; 0.0.0.0 is every interface.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="The port to bind; 0 lets the system choose.")] = 8000
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Further Host names to answer for on a loopback address; `*` is any."),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(description="Further origins that browsers may call from; `*` is any."),
    ] = ()
    max_body_bytes: Annotated[
        int, Unit("bytes"), Meta(ge=1024, description="The largest request body; images are large.")
    ] = 64 * 1024 * 1024
    max_blob_bytes: Annotated[
        int, Unit("bytes"), Meta(ge=0, description="The largest model file that a client may send; 0 takes none.")
    ] = 1 << 40
    body_timeout_s: Annotated[
        float, Unit("s"), Meta(gt=0, description="How long a client may take to send its body, or the next of a blob.")
    ] = 30.0
    header_grace_s: Annotated[
        float,
        Unit("s"),
        Meta(ge=0, description="How long a stream waits for its first event, so that errors keep their status."),
    ] = 10.0
    heartbeat_s: Annotated[
        float, Unit("s"), Meta(gt=0, description="A silent stream sends a sign of life after this.")
    ] = 10.0
    stall_timeout_s: Annotated[
        float, Unit("s"), Meta(gt=0, description="A client that reads nothing for this long is cut off.")
    ] = 120.0
    drain_s: Annotated[
        float, Unit("s"), Meta(ge=0, description="How long running answers may go on after SIGTERM.")
    ] = 30.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important level shown; prompts appear on debug only."),
    ] = "info"
    format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="`auto` is console on a terminal and in development, JSON in production."),
    ] = "auto"
    file: Annotated[str, Meta(description="Also write to this file, a new one each day; relative to the project.")] = ""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """Which plug-ins run."""

    enabled: Annotated[tuple[str, ...], Meta(description="If given, only these third-party plug-ins are loaded.")] = ()
    disabled: Annotated[tuple[str, ...], Meta(description="Plug-ins that are not loaded, built-in or not.")] = ()
    folder: Annotated[
        str, Meta(description="Folder of single-file plug-ins; empty: `plugins` in the data directory.")
    ] = ""


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Where the model map and its companions are."""

    model_map_file: Annotated[str, Meta(description="Names and their files; empty: in the data directory.")] = ""
    tags_cache_file: Annotated[str, Meta(description="The OpenAI list; empty: in the data directory.")] = ""
    tags_ollama_file: Annotated[str, Meta(description="The Ollama list; empty: in the data directory.")] = ""


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """Who may run, and how long others wait."""

    max_running: Annotated[int, Meta(ge=1, le=4096, description="Requests answered at once.")] = 16
    max_queued: Annotated[int, Meta(ge=0, le=100_000, description="Requests that may wait; more get a 503.")] = 256
    max_wait_s: Annotated[float, Unit("s"), Meta(gt=0, description="How long a request may wait for its turn.")] = 180.0


@dataclass(frozen=True, slots=True)
class ResidencySettings:
    """How many models stay loaded, and how long."""

    max_loaded: Annotated[int, Meta(ge=1, le=1024, description="Models loaded at once; idle ones make room.")] = 1
    idle_timeout_s: Annotated[
        float,
        Unit("s"),
        Meta(ge=0, description="An idle model is unloaded after this; 0 is never. Counts from its last answer."),
    ] = 300.0


@dataclass(frozen=True, slots=True)
class PullSettings:
    """Bringing models from elsewhere: whom to call, and how long to wait."""

    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Hosts, `name` or `name:port`, that may have private addresses; others must be public."),
    ] = ()
    allow_http: Annotated[bool, Meta(description="Allow plain HTTP always, not only with `--insecure`.")] = False
    connect_timeout_s: Annotated[float, Unit("s"), Meta(gt=0, description="How long a connection may take.")] = 10.0
    stall_timeout_s: Annotated[
        float, Unit("s"), Meta(gt=0, description="How long a server may send nothing before it is asked again.")
    ] = 30.0


@dataclass(frozen=True, slots=True)
class ReceiptSettings:
    """The accounts of past requests."""

    keep: Annotated[int, Meta(ge=0, le=1_000_000, description="How many receipts stay in memory.")] = 1000


KERNEL_SECTIONS = (
    SettingsSection("server", ServerSettings),
    SettingsSection("log", LogSettings),
    SettingsSection("plugins", PluginSettings),
    SettingsSection("registry", RegistrySettings),
    SettingsSection("admission", AdmissionSettings),
    SettingsSection("residency", ResidencySettings),
    SettingsSection("pull", PullSettings),
    SettingsSection("receipts", ReceiptSettings),
)
