"""Check that the wheel holds one package, whole, and nothing else.

Usage: check_wheel.py [WHEEL]; without one, it is built through the sdist.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "core": "hoshikage/core",
    "plugins": "hoshikage/plugins",
    "config": "hoshikage/config",
    "src/hoshikage": "hoshikage",
}


def main() -> int:
    """Print what is wrong, or that all is well."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else build(folder)
        if wheel is None:
            return 1
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
    faults = faults_in(names)
    for fault in faults:
        print(f"error: {wheel.name}: {fault}", file=sys.stderr)
    if not faults:
        print(f"wheel ok: {wheel.name}, {len(names)} files, one package")
    return 1 if faults else 0


def build(folder: str) -> Path | None:
    """Build into `folder`; nothing if that fails, after saying why."""
    command = [sys.executable, "-m", "build", "--outdir", folder, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        return None
    return next(Path(folder).glob("*.whl"))


def faults_in(names: set[str]) -> list[str]:
    """Everything that is missing from the wheel or does not belong there."""
    tops = {name.partition("/")[0] for name in names}
    faults = [f"stray top-level name {top}" for top in sorted(tops) if top != "hoshikage" and ".dist-info" not in top]
    faults += [f"{name} is missing" for name in sorted(expected_files() - names)]
    faults += [f"{name} does not belong there" for name in sorted(names) if "__pycache__" in name or "/tests/" in name]
    return faults


def expected_files() -> set[str]:
    """Every source file, at the place that the wheel must have it."""
    found = set()
    for folder, place in FOLDERS.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix in {".py", ".typed"}:
                found.add(f"{place}/{file.relative_to(ROOT / folder).as_posix()}")
    return found


if __name__ == "__main__":
    sys.exit(main())
