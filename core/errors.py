"""The errors of the kernel; each has the HTTP status and the stable code that every protocol shares."""

from __future__ import annotations

from hoshikage.config.errors import ConfigError, HoshikageError

__all__ = [
    "AddressRefused",
    "AdmissionTimeout",
    "BodyTooLarge",
    "ConfigError",
    "ContextOverflow",
    "DataDirInUse",
    "DeadlineExceeded",
    "DownloadFailed",
    "EmbedderFailed",
    "EngineFailed",
    "HoshikageError",
    "HostRefused",
    "InsufficientMemory",
    "InvalidRequest",
    "MemoryNotFound",
    "MemoryUnavailable",
    "MissingDependency",
    "ModelFileError",
    "ModelLoadFailed",
    "ModelNotFound",
    "NotSupported",
    "PluginError",
    "PortInUse",
    "PromptKillsWorker",
    "QueueFull",
    "ReceiptNotFound",
    "RegistryError",
    "ServerStopping",
    "StagingRefused",
    "StorageRefused",
    "WorkerDied",
]


class InvalidRequest(HoshikageError):
    """The request cannot be understood: no JSON, or a field is missing, has a wrong type or is out of range."""

    status = 400
    code = "invalid_request"


class NotSupported(InvalidRequest):
    """The request asks for something that this model or this server cannot do."""

    code = "not_supported"


class MemoryNotFound(InvalidRequest):
    """The caller has no memory of this id; another one's are as if they were not there."""

    status = 404
    code = "memory_not_found"

    def __init__(self, memory_id: str) -> None:
        super().__init__(
            f"there is no memory {memory_id[:80]!r} of this user; `GET /v1/memories` lists them", param="id"
        )


class EmbedderFailed(HoshikageError):
    """An embedder cannot be loaded, or died."""

    status = 503
    code = "embedder_failed"


class ReceiptNotFound(InvalidRequest):
    """The caller has no receipt of this request, or it is too old to be kept."""

    status = 404
    code = "receipt_not_found"


class MemoryUnavailable(HoshikageError):
    """Long-term memory is switched off, or cannot be opened; the message says which."""

    status = 503
    code = "memory_unavailable"


class MemoryDamaged(MemoryUnavailable):
    """What holds the memories is damaged, so it is neither read nor written any more."""


class ContextOverflow(InvalidRequest):
    """The prompt does not fit into the model's context."""

    code = "context_length_exceeded"

    @classmethod
    def of(cls, *, prompt_tokens: int, n_ctx: int) -> ContextOverflow:
        """Name both numbers, in the message and as details."""
        return cls(
            f"the prompt has {prompt_tokens} tokens, but the context holds {n_ctx} and must keep room for at "
            "least one token of answer; shorten the prompt or raise llamacpp.n_ctx",
            param="messages",
            details={"n_prompt_tokens": prompt_tokens, "n_ctx": n_ctx},
        )


class BodyTooLarge(HoshikageError):
    """The request body is over the limit."""

    status = 413
    code = "body_too_large"


class HostRefused(HoshikageError):
    """The `Host` header names a host that this server does not answer for (DNS rebinding)."""

    status = 403
    code = "host_refused"


class ModelNotFound(HoshikageError):
    """No model has that name."""

    status = 404
    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"model {name!r} not found; `hoshikage list` shows the names",
            param="model",
            details={"model": name},
        )
        self.name = name


class QueueFull(HoshikageError):
    """So many requests wait already that this one would wait too long."""

    status = 503
    code = "queue_full"
    should_retry = True


class AdmissionTimeout(HoshikageError):
    """The request waited its whole allowance for its turn."""

    status = 503
    code = "processing_timeout"
    should_retry = True


class ServerStopping(HoshikageError):
    """The server is going down and takes or finishes no more requests."""

    status = 503
    code = "server_stopping"
    should_retry = True


class EngineFailed(HoshikageError):
    """The engine reported an error for this request."""

    code = "inference_failed"


class PromptKillsWorker(EngineFailed):
    """This very request has ended two processes of the engine; it will not be tried again."""

    code = "prompt_kills_worker"

    @classmethod
    def of(cls, model: str) -> PromptKillsWorker:
        """Name the model."""
        return cls(
            f"this request has ended the worker process of model {model!r} twice, so it is not tried again; "
            "change the prompt or the options, and report it with the last lines of the log"
        )


class DeadlineExceeded(HoshikageError):
    """The answer was not complete by the deadline that its request named."""

    status = 504
    code = "deadline_exceeded"


class ModelLoadFailed(HoshikageError):
    """The engine could not load the model."""

    code = "model_load_failed"


class InsufficientMemory(ModelLoadFailed):
    """The model does not fit, whoever else leaves; the message says how many bytes are missing."""

    status = 507
    code = "insufficient_memory"


class StagingRefused(HoshikageError):
    """A model's file cannot be copied to the faster place; it is read from disk instead."""

    status = 507
    code = "staging_refused"


class StorageRefused(HoshikageError):
    """The data directory cannot be written: it is full, read-only or another user's."""

    status = 507
    code = "storage_refused"


class DownloadFailed(HoshikageError):
    """A model could not be brought from where it is."""

    status = 502
    code = "download_failed"


class AddressRefused(HoshikageError):
    """An address that a request or another server named must not be called from here (SSRF)."""

    status = 403
    code = "address_refused"


class WorkerDied(HoshikageError):
    """The process that holds the model ended while it answered."""

    status = 503
    code = "worker_died"
    should_retry = True


class ModelFileError(HoshikageError):
    """A model file is missing, truncated or no valid GGUF."""

    status = 400
    code = "model_file_error"


class RegistryError(HoshikageError):
    """The model map cannot be read or does not allow the change."""

    code = "registry_error"


class PluginError(HoshikageError):
    """A plug-in breaks the contract in a way that must not be passed over."""

    code = "plugin_error"


class MissingDependency(HoshikageError):
    """An optional library is not installed; the message names the extra that brings it."""

    code = "missing_dependency"


class PortInUse(HoshikageError):
    """Another process listens on the port."""

    code = "port_in_use"


class DataDirInUse(HoshikageError):
    """Another server holds the data directory."""

    code = "data_dir_in_use"
