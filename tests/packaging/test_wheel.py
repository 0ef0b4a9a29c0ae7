"""The wheel, installed outside the checkout, is the whole product."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx
import pytest

from tests.server import ServerProcess
from tests.wire import chat

ROOT = Path(__file__).parents[2]
LIMIT_S = 180

pytestmark = pytest.mark.install


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a user gets it: through the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=LIMIT_S)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_one_package_and_every_file(wheel: Path):
    """`make wheel-check` finds nothing missing and nothing stray."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_wheel.py"), str(wheel)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "one package" in done.stdout


def test_the_wheel_check_can_fail(tmp_path: Path):
    """A wheel that leaks a bare `core` is refused by name."""
    import zipfile

    bad = tmp_path / "hoshikage-0-py3-none-any.whl"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("hoshikage/__init__.py", "")
        archive.writestr("core/kernel.py", "")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_wheel.py"), str(bad)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 1
    assert "stray top-level name core" in done.stderr
    assert "hoshikage/core/kernel.py is missing" in done.stderr


def test_the_installed_wheel_serves_echo(wheel: Path, tmp_path: Path):
    """In an empty environment outside the checkout, `hoshikage serve` answers.

    The dependencies are lent by this environment, since compiling llama.cpp again would take ten minutes; an
    editable install is not lent with them, as `PYTHONPATH` does not read its `.pth` file.
    """
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, timeout=LIMIT_S)
    folder = tmp_path / "data"
    folder.mkdir()

    server = ServerProcess(
        folder,
        {"PYTHONPATH": sysconfig.get_path("purelib")},
        command=(str(environment / "bin" / "hoshikage"),),
    )
    try:
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat("hello stars")).json()
        where = subprocess.run(
            [str(python), "-c", "import hoshikage.core; print(hoshikage.core.__file__)"],
            env={"PYTHONPATH": sysconfig.get_path("purelib")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        server.stop()

    assert answer["choices"][0]["message"]["content"] == "hello stars"
    assert where.startswith(str(environment))
