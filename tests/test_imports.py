"""The direction of imports: plug-ins know the core, the core knows the configuration, and nobody looks back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("config", "core", "plugins")
PACKAGE = "hoshikage"


def imported(file: Path, root: Path) -> list[str]:
    """The absolute names of all modules that a file imports, wherever in it, relative ones resolved."""
    package = [PACKAGE, *file.relative_to(root).parent.parts]
    names = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from hoshikage.core import registry` may import a module, so what is imported counts too.
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return names


def complaint(place: tuple[str, ...], name: str) -> str | None:
    """Why a file at `place` (`plugins`, `defaults`, …) must not import `name`; `None` if it may."""
    parts = name.split(".")
    if parts[0] in FOLDERS:
        return f"imports bare {parts[0]!r}: say {PACKAGE}.{parts[0]}"
    if parts[0] != PACKAGE or len(parts) < 2:
        return None
    part = parts[1]
    if place[0] == "config" and part in {"core", "plugins"}:
        return f"config imports {name}"
    if place[0] == "core" and part == "plugins":
        return f"core imports {name}"
    if place[0] == "plugins" and part == "plugins" and parts[2:3] not in ([], [place[1]]):
        return f"the plug-in {place[1]} imports {name}"
    return None


def violations(root: Path) -> list[str]:
    """Every import in the three folders that goes against the direction."""
    found = []
    for file in sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.py")):
        place = file.relative_to(root)
        found += [f"{place}: {why}" for name in imported(file, root) if (why := complaint(place.parts, name))]
    return found


def test_imports_go_one_way():
    """No file of Hoshikage imports against the direction."""
    assert [] == violations(ROOT)


def test_all_folders_are_looked_at():
    """The check sees files in each of the three folders."""
    counts = [len(list((ROOT / folder).rglob("*.py"))) for folder in FOLDERS]

    assert [] == [count for count in counts if count < 5]


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("config/x.py", "from hoshikage.core.errors import PluginError"),
        ("config/x.py", "import hoshikage.core"),
        ("config/x.py", "from hoshikage import core"),
        ("config/x.py", "from ..core import errors"),
        ("config/x.py", "from hoshikage.plugins import defaults"),
        ("core/x.py", "from hoshikage.plugins.defaults.filter import DefaultsFilter"),
        ("core/x.py", "from hoshikage import plugins"),
        ("core/http/x.py", "from ...plugins import defaults"),
        ("core/x.py", "def f():\n    import hoshikage.plugins.defaults"),
        ("core/x.py", "if TYPE_CHECKING:\n    from hoshikage.plugins.defaults import x"),
        ("plugins/one/x.py", "from hoshikage.plugins.two.engine import Engine"),
        ("plugins/one/x.py", "from hoshikage.plugins import two"),
        ("plugins/one/x.py", "from ..two import engine"),
        ("plugins/one/deep/x.py", "import hoshikage.plugins.two"),
        ("config/x.py", "import config.schema"),
        ("core/x.py", "from core import errors"),
        ("core/x.py", "from config.schema import Unit"),
        ("plugins/one/x.py", "import plugins"),
    ],
)
def test_planted_violation_is_found(tmp_path, place: str, code: str):
    """An import against the direction is found, in whatever words and wherever in the file it stands."""
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(code)

    assert [place] == sorted({line.partition(":")[0] for line in violations(tmp_path)})


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("config/x.py", "from hoshikage.config.schema import Unit\nimport json"),
        ("core/x.py", "from hoshikage.config.schema import Unit\nfrom hoshikage.core import errors"),
        ("core/http/x.py", "from . import body\nfrom ..errors import X"),
        ("plugins/one/x.py", "from hoshikage import hookimpl\nfrom hoshikage.core.errors import X"),
        ("plugins/one/x.py", "from hoshikage.plugins.one.engine import Engine\nfrom . import engine"),
        ("plugins/one/deep/x.py", "from hoshikage.plugins.one import settings\nfrom .. import settings"),
        ("core/x.py", "import configparser, importlib.metadata"),
    ],
)
def test_good_import_is_let_through(tmp_path, place: str, code: str):
    """An import in the direction is no violation."""
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(code)

    assert [] == violations(tmp_path)
