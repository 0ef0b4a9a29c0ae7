"""The predecessor's variables: each still works, and gives way to its successor."""

from __future__ import annotations

import pytest

from hoshikage.config.layers import read_layers
from hoshikage.config.legacy import OLD_NAMES
from hoshikage.config.schema import section_fields
from hoshikage.config.settings import load_settings
from hoshikage.core.manager import PluginChoice, PluginManager
from hoshikage.core.settings import (
    KERNEL_SECTIONS,
    AdmissionSettings,
    LogSettings,
    RegistrySettings,
    ResidencySettings,
    ServerSettings,
)

# Written out by hand from the predecessor's documentation, on purpose not derived from the code.
MEANINGS = {
    "RAMDISK_PATH": "ramdisk.path",
    "RAMDISK_SIZE": "ramdisk.size_gib",
    "IDLE_TIMEOUT_SECONDS": "residency.idle_timeout_s",
    "IDLE_TIMEOUT": "residency.idle_timeout_s",
    "GREAT_TIMEOUT": "ramdisk.great_timeout_min",
    "MODEL_MAP_FILE": "registry.model_map_file",
    "TAG_CACHE_FILE": "registry.tags_cache_file",
    "TAG_OLLAMA_FILE": "registry.tags_ollama_file",
    "CHROMA_PATH": "chroma.path",
    "SENTENCE_BERT_MODEL": "sentence_transformers.model",
    "CHROMA_MODEL_NAME": "sentence_transformers.model",
    "CLUSTER_DIVISOR": "digests.cluster_divisor",
    "MIN_CLUSTERS": "digests.min_clusters",
    "MAX_CLUSTERS": "digests.max_clusters",
    "N_CTX": "llamacpp.n_ctx",
    "N_THREADS": "llamacpp.n_threads",
    "N_GPU_LAYERS": "llamacpp.n_gpu_layers",
    "N_BATCH": "llamacpp.n_batch",
    "MAX_TOKENS_STREAMING": "defaults.max_tokens_streaming",
    "MAX_TOKENS_NON_STREAMING": "defaults.max_tokens_non_streaming",
    "SEMAPHORE_TIMEOUT": "admission.max_wait_s",
    "PORT": "server.port",
    "HOST": "server.host",
    "LOG_FILE_PATH": "log.file",
    "TEMPERATURE": "defaults.temperature",
    "TOP_P": "defaults.top_p",
    "REPEAT_PENALTY": "defaults.repeat_penalty",
    "REPEAT_LAST_N": "defaults.repeat_last_n",
    "MODEL_DIR": "model_folder.path",
    "DIFFUSION_STEPS": "diffusion.steps",
    "DIFFUSION_ALGORITHM": "diffusion.algorithm",
    "DIFFUSION_SCHEDULE": "diffusion.schedule",
    "DIFFUSION_CFG_SCALE": "diffusion.cfg_scale",
    "DIFFUSION_MAX_TOKENS": "diffusion.max_tokens",
}


def kernel_settings(project, **environ: str):
    return load_settings(project, environ, KERNEL_SECTIONS)


@pytest.mark.parametrize(("old", "key"), MEANINGS.items())
def test_old_name_means_todays_setting(project, dotenv, old: str, key: str):
    """An old name in `.env` gives its value to the setting of today."""
    dotenv(f"{old}=7\n")

    assert [(key, "7", old)] == [(e.key, e.value, e.variable) for e in read_layers(project, {})]


@pytest.mark.parametrize(("old", "key"), [(o, k) for o, k in MEANINGS.items() if o != "HOST"])
def test_old_name_works_from_the_environment(project, old: str, key: str):
    """An old name in the environment gives its value to the setting of today."""
    assert [(key, "7")] == [(e.key, e.value) for e in read_layers(project, {old: "7"})]


def test_table_here_is_complete():
    """No old name exists that the table above does not hold."""
    assert dict(OLD_NAMES) == MEANINGS


def test_old_names_lead_to_declared_settings():
    """Where a section is declared by what comes with Hoshikage, the old name's setting exists in it."""
    manager = PluginManager.discover(PluginChoice(safe_mode=True))
    sections = [*KERNEL_SECTIONS, *manager.setting_sections()]
    declared = {f.key for s in sections for f in section_fields(s)}
    names = {s.name for s in sections}

    wanted = {key for key in MEANINGS.values() if key.partition(".")[0] in names}

    assert set() == wanted - declared


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"PORT": "1"}, {"HOSHIKAGE_SERVER__PORT": "2"}),
        ({"HOSHIKAGE_SERVER__PORT": "2"}, {"PORT": "1"}),
    ],
)
def test_new_name_wins_over_the_old_one(project, old: dict[str, str], new: dict[str, str]):
    """In one layer the name of today wins, whichever comes first."""
    settings = kernel_settings(project, **old, **new)

    assert 2 == settings.section(ServerSettings).port


def test_environment_wins_over_dotenv_whatever_the_name(project, dotenv):
    """An old name in the environment wins over a new one in `.env`: the layer counts first."""
    dotenv("HOSHIKAGE_SERVER__PORT=2\n")

    assert 1 == kernel_settings(project, PORT="1").section(ServerSettings).port


def test_python_name_wins_over_the_rust_name(project):
    """Where both names of the idle timeout are set, the one with the unit wins."""
    settings = kernel_settings(project, IDLE_TIMEOUT_SECONDS="600", IDLE_TIMEOUT="5")

    assert 600.0 == settings.section(ResidencySettings).idle_timeout_s


def test_old_value_is_checked_like_a_new_one(project):
    """A number under an old name is a number."""
    assert 60.0 == kernel_settings(project, SEMAPHORE_TIMEOUT="60").section(AdmissionSettings).max_wait_s


def test_empty_old_value_says_nothing(project):
    """An old name that is set to nothing leaves the setting alone."""
    assert 8000 == kernel_settings(project, PORT="").section(ServerSettings).port


def test_host_from_the_environment_is_ignored(project):
    """HOST in the environment is the machine's name, not an address to bind."""
    assert "127.0.0.1" == kernel_settings(project, HOST="build-box-7").section(ServerSettings).host


def test_host_from_dotenv_works(project, dotenv):
    """HOST in `.env` is the address to bind."""
    dotenv("HOST=0.0.0.0\n")

    assert "0.0.0.0" == kernel_settings(project).section(ServerSettings).host


def test_host_from_dotenv_works_though_the_shell_exports_one(project, dotenv):
    """HOST in `.env` counts also where the shell exports the machine's name."""
    dotenv("HOST=0.0.0.0\n")

    assert "0.0.0.0" == kernel_settings(project, HOST="build-box-7").section(ServerSettings).host


def test_old_relative_path_resolves_against_the_project(project):
    """An old relative path is one of the project's."""
    settings = kernel_settings(project, MODEL_MAP_FILE="./src/models/model_map.json")

    file = settings.path(settings.section(RegistrySettings).model_map_file, default="model_map.json")
    assert project.root / "src" / "models" / "model_map.json" == file


@pytest.mark.parametrize("old", ["MODEL_MAP_FILE", "TAG_CACHE_FILE", "TAG_OLLAMA_FILE", "LOG_FILE_PATH"])
def test_old_path_outside_the_data_directory_warns(project, old: str):
    """An old relative path outside the data directory is warned of, with what to do."""
    settings = kernel_settings(project, HOSHIKAGE_DATA_DIR="data", **{old: "./src/models/x"})

    expected = (
        f"{old}=./src/models/x lies outside the data directory {project.root / 'data'}; a backup of that directory "
        f"will not hold it: move the file there and unset {old}"
    )
    assert (expected,) == settings.warnings


@pytest.mark.parametrize("path", ["./data/model_map.json", "data/model_map.json", "data/../data/x"])
def test_old_path_inside_the_data_directory_is_fine(project, path: str):
    """An old relative path inside the data directory gives no warning."""
    settings = kernel_settings(project, HOSHIKAGE_DATA_DIR="data", MODEL_MAP_FILE=path)

    assert () == settings.warnings


def test_data_directory_behind_a_link_holds_its_files(project, toml, tmp_path):
    """A data directory that is a link to another disk still holds what lies in it."""
    toml("")
    (tmp_path / "disk").mkdir()
    (project.root / "data").symlink_to(tmp_path / "disk")

    assert () == kernel_settings(project, MODEL_MAP_FILE="./data/model_map.json").warnings


def test_absolute_old_path_is_meant(project, tmp_path):
    """An absolute path was chosen on purpose and gives no warning."""
    assert () == kernel_settings(project, MODEL_MAP_FILE=str(tmp_path / "x.json")).warnings


def test_new_path_outside_the_data_directory_is_meant(project):
    """A path under a name of today gives no warning."""
    settings = kernel_settings(project, HOSHIKAGE_DATA_DIR="data", HOSHIKAGE_REGISTRY__MODEL_MAP_FILE="x.json")

    assert () == settings.warnings


def test_log_file_is_taken_as_text(project):
    """An old path that looks like a number stays a path."""
    settings = kernel_settings(project, HOSHIKAGE_DATA_DIR=".", LOG_FILE_PATH="123")

    assert "123" == settings.section(LogSettings).file
