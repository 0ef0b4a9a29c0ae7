"""The Dockerfile: lint, and the facts that compose and the documentation rely on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def instructions() -> list[str]:
    """The final stage's instructions, each on one line, without comments."""
    text = ROOT.joinpath("Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stage = lines[lines.rindex("\nFROM ") :]
    return [" ".join(line.split()) for line in stage.splitlines() if line.strip()]


def environment() -> dict[str, str]:
    pairs = " ".join(line.removeprefix("ENV ") for line in instructions() if line.startswith("ENV "))
    return dict(pair.split("=", 1) for pair in pairs.split())


def test_hadolint_finds_no_fault() -> None:
    """The linter finds no fault in the Dockerfile."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    hadolint = shutil.which("hadolint", path=beside)
    if hadolint is None:
        reason = "hadolint is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    linted = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    "expected",
    [
        'CMD ["hoshikage", "serve"]',
        "EXPOSE 8000",
        "STOPSIGNAL SIGTERM",
        "USER 10001:10001",
        "WORKDIR /app",
        "COPY settings.toml ./",
    ],
)
def test_the_image_says(expected: str) -> None:
    """The image starts the server as an ordinary user in /app and announces its port and stop signal."""
    assert expected in instructions()


def test_the_image_checks_its_own_health() -> None:
    """The health check is an exec form without spaces in any argument, which some engines split again."""
    (line,) = (line for line in instructions() if line.startswith("HEALTHCHECK "))

    assert json.loads(line[line.index("CMD ") + 4 :]) == ["hoshikage", "healthcheck"]


def test_the_image_is_configured_for_a_container() -> None:
    """The server in the image listens on every interface and keeps its data in /app/data."""
    expected = {
        "HOSHIKAGE_ENV": "production",
        "HOSHIKAGE_SERVER__HOST": "0.0.0.0",
        "HOSHIKAGE_DATA_DIR": "/app/data",
        "HOSHIKAGE_PROJECT_DIR": "/app",
    }

    assert expected == {name: value for name, value in environment().items() if name in expected}


def test_the_final_stage_has_no_compiler() -> None:
    """What compiles stays in the build stage; the image installs only llama.cpp's thread library."""
    installed = [re.findall(r"--no-install-recommends ([^&]*?) &&", line) for line in instructions()]

    assert [found for found in installed if found] == [["libgomp1"]]


def test_the_image_runs_on_other_machines() -> None:
    """By default llama.cpp is not tuned to the CPU that happens to build the image."""
    text = ROOT.joinpath("Dockerfile").read_text(encoding="utf-8")

    assert re.findall(r"^ARG CMAKE_ARGS=(.*)$", text, flags=re.MULTILINE) == ['"-DGGML_NATIVE=OFF"']


@pytest.mark.parametrize("extras", [[], ["memory"], ["memory", "cuda"]])
def test_the_image_can_have_extras(extras: list[str]) -> None:
    """What pip gets is what pyproject.toml says, of the base and of each extra."""
    text = ROOT.joinpath("Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    (program,) = re.findall(r'^RUN python -c "(.*)" > /requirements.txt$', text, flags=re.MULTILINE)
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"EXTRAS": " ".join(extras)},
        capture_output=True,
        text=True,
        check=True,
    )
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = [need for extra in extras for need in project["optional-dependencies"][extra]]

    assert [*project["dependencies"], *more] == found.stdout.splitlines()


@pytest.mark.parametrize("unsupported", [r"<<-?['\"]?\w+", r"COPY .*--link", r"--start-interval"])
def test_old_builders_understand_the_file(unsupported: str) -> None:
    """The Dockerfile keeps to what buildah 1.28 understands too."""
    text = ROOT.joinpath("Dockerfile").read_text(encoding="utf-8")

    assert re.findall(unsupported, text) == []


def test_the_context_leaves_secrets_and_models_out() -> None:
    """The build context is a list of what goes in, so that .env, data and models never do."""
    rules = [
        line
        for line in ROOT.joinpath(".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert rules[0] == "*"
    assert set() == let_in & {".env", ".git", "data", "models", "tests"}
    assert [name for name in let_in if not ROOT.joinpath(name).exists()] == []
