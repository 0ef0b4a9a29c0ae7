"""The predecessor's variable names, and the settings they mean today."""

from __future__ import annotations

from types import MappingProxyType

# Order matters where two old names mean one setting: the later one wins. IDLE_TIMEOUT is the Rust version's
# name for the Python version's IDLE_TIMEOUT_SECONDS, CHROMA_MODEL_NAME the oldest of SENTENCE_BERT_MODEL.
OLD_NAMES = MappingProxyType(
    {
        "HOST": "server.host",
        "PORT": "server.port",
        "LOG_FILE_PATH": "log.file",
        "MODEL_MAP_FILE": "registry.model_map_file",
        "TAG_CACHE_FILE": "registry.tags_cache_file",
        "TAG_OLLAMA_FILE": "registry.tags_ollama_file",
        "MODEL_DIR": "model_folder.path",
        "SEMAPHORE_TIMEOUT": "admission.max_wait_s",
        "IDLE_TIMEOUT": "residency.idle_timeout_s",
        "IDLE_TIMEOUT_SECONDS": "residency.idle_timeout_s",
        "N_CTX": "llamacpp.n_ctx",
        "N_THREADS": "llamacpp.n_threads",
        "N_GPU_LAYERS": "llamacpp.n_gpu_layers",
        "N_BATCH": "llamacpp.n_batch",
        "MAX_TOKENS_STREAMING": "defaults.max_tokens_streaming",
        "MAX_TOKENS_NON_STREAMING": "defaults.max_tokens_non_streaming",
        "TEMPERATURE": "defaults.temperature",
        "TOP_P": "defaults.top_p",
        "REPEAT_PENALTY": "defaults.repeat_penalty",
        "REPEAT_LAST_N": "defaults.repeat_last_n",
        "RAMDISK_PATH": "ramdisk.path",
        "RAMDISK_SIZE": "ramdisk.size_gib",
        "GREAT_TIMEOUT": "ramdisk.great_timeout_min",
        "CHROMA_PATH": "chroma.path",
        "CHROMA_MODEL_NAME": "sentence_transformers.model",
        "SENTENCE_BERT_MODEL": "sentence_transformers.model",
        "CLUSTER_DIVISOR": "digests.cluster_divisor",
        "MIN_CLUSTERS": "digests.min_clusters",
        "MAX_CLUSTERS": "digests.max_clusters",
        "DIFFUSION_STEPS": "diffusion.steps",
        "DIFFUSION_ALGORITHM": "diffusion.algorithm",
        "DIFFUSION_SCHEDULE": "diffusion.schedule",
        "DIFFUSION_CFG_SCALE": "diffusion.cfg_scale",
        "DIFFUSION_MAX_TOKENS": "diffusion.max_tokens",
    }
)

# These name files and folders; a relative one resolves against the project, so it may leave `data_dir`.
OLD_PATHS = frozenset({"MODEL_MAP_FILE", "TAG_CACHE_FILE", "TAG_OLLAMA_FILE", "CHROMA_PATH", "LOG_FILE_PATH"})

# HOST is exported by some shells (csh, zsh setups) as the machine's name, which is no bind address to trust.
DOTENV_ONLY = frozenset({"HOST"})

# Variables under the HOSHIKAGE_ prefix that are no settings: they steer how these are read, and the last one is the key
# that commands send to the server.
STEERING = frozenset({"ENV", "PROJECT_DIR", "CONFIG_PATH", "LIB_PATH", "API_KEY"})
