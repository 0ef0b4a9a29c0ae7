"""Every hook is documented, has a test of its name and a use in a built-in plug-in; the examples run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from hoshikage.core import hookspecs
from hoshikage.core.manager import PluginChoice, PluginManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import ServerProcess

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-plugin.md"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("hoshikage_"))
INSTALL_LIMIT_S = 120


def python_block(page: str) -> str:
    """The first Python example of a page."""
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def test_there_are_hooks():
    """The list that the other tests go through is not empty."""
    assert len(HOOKS) >= 7


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_has_a_section_on_the_page(hook: str):
    """docs/writing-a-plugin.md has a section for each hook."""
    assert f"\n### {hook}\n" in PAGE.read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_described_with_an_example(hook: str):
    """The specification says when it is called, and shows an example."""
    text = getattr(hookspecs, hook).__doc__

    assert "Called" in text
    assert "Example:" in text
    assert f"def {hook}(" in text


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_has_a_test_of_its_name(hook: str):
    """tests/core/test_hooks.py tests each hook by name."""
    tree = ast.parse((ROOT / "tests" / "core" / "test_hooks.py").read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    assert f"test_hook_{hook.removeprefix('hoshikage_')}" in names


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_used_by_a_built_in_plugin(hook: str):
    """A hook that nothing built in uses does not exist yet."""
    used = {h for row in PluginManager.discover(PluginChoice(safe_mode=True)).rows() for h in row.hooks}

    assert hook in used


def test_the_short_plugin_is_twelve_lines_and_runs(start_server: Callable[..., ServerProcess], tmp_path: Path):
    """The page's first example, saved as a file, serves its route."""
    source = python_block(PAGE.read_text())
    folder = tmp_path / "data" / "plugins"
    folder.mkdir(parents=True)
    (folder / "hello.py").write_text(source)

    server = start_server(tmp_path / "data")

    assert len(source.splitlines()) == 12
    assert httpx.get(f"{server.url}/hello").json() == {"hello": "hoshi"}


@pytest.mark.install
def test_the_example_package_works_once_installed(start_server: Callable[..., ServerProcess], tmp_path: Path):
    """A package that is really installed is found through its entry point: engine, filter, settings and route."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--target", str(site), str(ROOT / "tests" / "example_plugin")], check=True, timeout=INSTALL_LIMIT_S
    )

    server = start_server(PYTHONPATH=str(site), HOSHIKAGE_PARROT__ENDING=" ok?")
    body = {"model": "parrot", "messages": [{"role": "user", "content": "good day"}]}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body).json()

    assert answer["choices"][0]["message"]["content"] == "PLEASE: GOOD DAY ok?"
    assert httpx.get(f"{server.url}/parrot").json() == {"answers": 1}
