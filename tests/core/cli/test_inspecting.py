from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.core.cli.conftest import CommandLine

ROOT = Path(__file__).parents[3]


def test_config_says_where_each_value_came_from(hoshikage: CommandLine):
    """Every setting has a value and a source."""
    rows = {row["key"]: row for row in hoshikage.json("config", HOSHIKAGE_SERVER__PORT="8111", N_CTX="2048")}

    assert rows["server.port"] == {
        "key": "server.port",
        "value": 8111,
        "source": "HOSHIKAGE_SERVER__PORT (environment)",
    }
    assert rows["llamacpp.n_ctx"]["value"] == 2048
    assert rows["llamacpp.n_ctx"]["source"] == "N_CTX (environment)"
    assert rows["server.host"]["source"] == "default"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HOSHIKAGE_SERVER__PORT", "many", ("server.port", "many", "int >= 0 <= 65535")),
        ("HOSHIKAGE_SERVER__PROT", "1", ("server.prot", "1", "port")),
        ("HOSHIKAGE_LOG__LEVEL", "loud", ("log.level", "loud", '"debug" | "error"')),
        ("N_CTX", "-5", ("llamacpp.n_ctx", "-5", "int >= 0")),
        ("HOSHIKAGE_ENV", "staging", ("HOSHIKAGE_ENV", "staging", "production")),
    ],
)
def test_config_check_names_key_value_and_what_is_allowed(
    hoshikage: CommandLine, variable: str, value: str, words: tuple[str, ...]
):
    """A bad setting is one line with all that is needed to mend it, and exit 1."""
    done = hoshikage("config", "--check", **{variable: value})

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("list",)])
def test_no_command_starts_with_a_bad_setting(hoshikage: CommandLine, command: tuple[str, ...]):
    """It says the same line."""
    done = hoshikage(*command, HOSHIKAGE_SERVER__PORT="many")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "server.port" in done.stderr


def test_config_check_is_0_when_all_is_well(hoshikage: CommandLine):
    """A section of an absent plug-in is a warning only."""
    done = hoshikage("config", "--check", DIFFUSION_STEPS="7")

    assert done.returncode == 0
    assert "DIFFUSION_STEPS" in done.stdout


def test_the_settings_page_is_up_to_date(hoshikage: CommandLine):
    """docs/settings.md is what the declarations say today; `make docs` writes it anew."""
    done = hoshikage("config", "--markdown")

    assert done.returncode == 0
    assert done.stdout == (ROOT / "docs" / "settings.md").read_text()


def test_plugins_lists_the_built_in_ones(hoshikage: CommandLine):
    """Every built-in plug-in is active, with its hooks."""
    rows = {row["name"]: row for row in hoshikage.json("plugins")}

    assert all(row["state"] == "active" for row in rows.values() if row["door"] == "built-in")
    assert rows["engine_echo"]["hooks"] == [
        "hoshikage_declare_settings",
        "hoshikage_provide_engines",
        "hoshikage_provide_model_sources",
    ]


def test_a_broken_plugin_is_a_row_with_its_reason(hoshikage: CommandLine):
    """A plug-in that cannot be imported is one log line and one row; the rest works."""
    folder = hoshikage.data_dir / "plugins"
    folder.mkdir()
    (folder / "torn.py").write_text("import no_such_library\n")

    rows = {row["name"]: row for row in hoshikage.json("plugins")}
    listed = hoshikage("list")

    assert rows["torn"]["state"] == "broken"
    assert "no_such_library" in rows["torn"]["reason"]
    assert listed.returncode == 0
    assert listed.stderr.count("\n") == 1


def test_safe_mode_leaves_third_party_plugins_out(hoshikage: CommandLine):
    """In safe mode only the built-in plug-ins run."""
    folder = hoshikage.data_dir / "plugins"
    folder.mkdir()
    (folder / "torn.py").write_text("raise SystemError('never imported')\n")

    done = hoshikage("plugins", "--safe-mode")

    assert done.returncode == 0
    assert "safe mode" in done.stdout
    assert "never imported" not in done.stdout + done.stderr


def test_an_unknown_hook_is_an_error_that_names_both(hoshikage: CommandLine):
    """A misspelt hook would be passed over in silence, so it stops every command."""
    folder = hoshikage.data_dir / "plugins"
    folder.mkdir()
    (folder / "wrong.py").write_text(
        "import hoshikage\n\n@hoshikage.hookimpl\ndef hoshikage_provide_engine():\n    return []\n"
    )

    done = hoshikage("plugins")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "wrong" in done.stderr
    assert "hoshikage_provide_engine" in done.stderr


def test_doctor_looks_at_everything_and_advises(hoshikage: CommandLine):
    """Each field has a line, and each line that is not ok says what to do."""
    rows = hoshikage.json("doctor", "--port", "18999", MODEL_MAP_FILE="../elsewhere.json")

    names = {row["name"] for row in rows}
    fields = {"python", "data directory", "disk space", "ram disk", "port", "models", "compiler", "llama.cpp", "gpu"}
    assert fields <= names
    assert {"memory", "memory folder", "memory embedder"} <= names
    assert all(row["advice"] for row in rows if row["level"] != "ok")
    assert any("MODEL_MAP_FILE" in row["found"] for row in rows if row["name"] == "settings")


def test_doctor_is_1_when_something_will_not_work(hoshikage: CommandLine):
    """A corrupt model map is an error, and the other checks still run."""
    (hoshikage.data_dir / "model_map.json").write_text("{oops")

    done = hoshikage("doctor", "--port", "18999")

    assert done.returncode == 1
    assert "corrupt" in done.stdout
    assert "llama.cpp" in done.stdout


def test_version_is_printed(hoshikage: CommandLine):
    """`--version` prints the version alone."""
    import hoshikage as package

    assert hoshikage("--version").stdout == f"{package.__version__}\n"
