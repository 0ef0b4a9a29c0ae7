"""Install the project into a virtual environment, and show how far the long steps are. Needs only Python.

Usage: install.py VENV REQUIREMENT
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST = (3, 11)
LAST_LINES = 25
COMPILE_STEP = re.compile(r"\[(\d+)/(\d+)\] ")
COMPILERS = ("c++", "g++", "clang++")
# GCC before 14 drops most of the configuration that llama.cpp gives to AMX' tiles, and then the first prompt ends the
# process (SIGILL). Without this macro llama.cpp takes its kernels for AVX-512, as on a CPU without AMX.
FIRST_GCC_FOR_AMX = 14
WITHOUT_AMX = "-U__AMX_INT8__"
AMX_NAME = b"ggml_backend_amx_buffer_type"
GCC = re.compile(rb"GCC: \([^)]*\) (\d+)\.")
PACKAGE = "llama-cpp-python"
AGAIN = ["--force-reinstall", "--no-deps", "--no-cache-dir", "--no-binary", PACKAGE, PACKAGE]


def main() -> int:
    """Create the environment if it is missing, then install."""
    venv, requirement = Path(sys.argv[1]), sys.argv[2]
    if sys.version_info < OLDEST:
        return fail(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}")
    python = venv / "bin" / "python"
    if not python.exists():
        say(f"creating {venv}")
        if subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False).returncode != 0:
            return fail("no virtual environment could be made; on Debian and Ubuntu: sudo apt install python3-venv")
    if not has_llama_cpp(python) and not any(shutil.which(c) for c in COMPILERS):
        return fail("no C++ compiler, and llama.cpp must be compiled; sudo apt install build-essential")
    say(f"installing {requirement} (the first time, llama.cpp is compiled: about 10 minutes on 2 cores)")
    status = pip_install(python, ["-e", requirement], log=venv / "install.log")
    if status == 0 and cpu_has_amx() and breaks_amx(venv):
        say("the wheel in pip's cache was compiled in a way that breaks AMX: compiling llama.cpp again")
        status = pip_install(python, AGAIN, log=venv / "install.log")
    return status


def pip_install(python: Path, wanted: list[str], *, log: Path) -> int:
    """Run pip, show one moving line, and keep everything it says in `log`."""
    command = [str(python), "-m", "pip", "install", "-v", "--progress-bar", "off", *wanted]
    progress, lines = Progress(), []
    env = build_environment(os.environ, has_amx=cpu_has_amx(), gcc=gcc_version())
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as pip:
        assert pip.stdout is not None
        with log.open("w") as file:
            for line in pip.stdout:
                file.write(line)
                lines = [*lines[1 - LAST_LINES :], line]
                progress.take(line.strip())
    progress.end()
    if pip.returncode != 0:
        sys.stderr.writelines(lines)
        return fail(f"pip ended with status {pip.returncode}; all it said is in {log}")
    return 0


def build_environment(environ: Mapping[str, str], *, has_amx: bool, gcc: int | None) -> dict[str, str]:
    """What llama.cpp is compiled with.

    Args:
        environ: the variables of the caller, which are kept.
        has_amx: the CPU has AMX, so that a build for it would use it.
        gcc: the major version of GCC; `None` is another compiler.
    """
    if not has_amx or gcc is None or gcc >= FIRST_GCC_FOR_AMX:
        return dict(environ)
    flags = {name: f"{environ.get(name, '')} {WITHOUT_AMX}".strip() for name in ("CFLAGS", "CXXFLAGS")}
    return {**environ, **flags}


def breaks_amx(venv: Path) -> bool:
    """Whether the installed build has kernels for AMX by an old GCC: pip's cache may hold such a wheel."""
    libraries = [file.read_bytes() for file in venv.glob("lib/python*/site-packages/llama_cpp/lib/*ggml-cpu*")]
    return any(AMX_NAME in lib and any(int(v) < FIRST_GCC_FOR_AMX for v in GCC.findall(lib)) for lib in libraries)


def cpu_has_amx() -> bool:
    """Whether the CPU multiplies with AMX; unknown systems have none."""
    try:
        return "amx_int8" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False


def gcc_version() -> int | None:
    """The major version of the compiler, if it is GCC."""
    command = shlex.split(os.environ.get("CXX", "")) or [next((c for c in COMPILERS if shutil.which(c)), "c++")]
    try:
        said = subprocess.run(
            [*command, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    macros = dict(re.findall(r"^#define (__clang__|__GNUC__) (\d+)$", said.stdout, re.MULTILINE))
    return None if "__clang__" in macros or "__GNUC__" not in macros else int(macros["__GNUC__"])


def has_llama_cpp(python: Path) -> bool:
    """Whether the environment has llama.cpp already."""
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('llama_cpp') is None)"
    return subprocess.run([str(python), "-c", probe], check=False).returncode == 0


class Progress:
    """One line that moves on a terminal; elsewhere, a line now and then."""

    def __init__(self) -> None:
        self._tty = sys.stdout.isatty()
        self._began = time.monotonic()
        self._shown_at = 0.0
        self._stage = ""

    def take(self, line: str) -> None:
        """Read one line of pip's and show it if it says something new."""
        step = COMPILE_STEP.search(line)
        if step:
            done, total = int(step[1]), int(step[2])
            self._show(f"compiling llama.cpp: {done}/{total} ({100 * done // total} %)", interval_s=15)
        elif line.startswith(("Collecting ", "Building wheel for ", "Installing collected packages")):
            self._show(line.partition(" (")[0][:70], interval_s=5)

    def end(self) -> None:
        """Leave the moving line."""
        if self._tty:
            sys.stdout.write("\r\033[K")
        say(f"installed in {time.monotonic() - self._began:.0f} s")

    def _show(self, text: str, *, interval_s: float) -> None:
        now = time.monotonic()
        elapsed = f"{now - self._began:4.0f} s  {text}"
        if self._tty:
            sys.stdout.write(f"\r\033[K  {elapsed}")
            sys.stdout.flush()
        elif now - self._shown_at >= interval_s or text.split(maxsplit=1)[0] != self._stage:
            say(f"  {elapsed}")
            self._shown_at = now
        self._stage = text.split(maxsplit=1)[0]


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def fail(reason: str) -> int:
    """Print one line on stderr."""
    print(f"error: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
