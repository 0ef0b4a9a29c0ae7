"""The manager: who is let in, who is taken out, and what stops the start."""

from __future__ import annotations

import importlib.metadata
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from hoshikage import ChatRequest, ModelRecord, RouteGroup, SettingsSection, hookimpl
from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.discovery import BUILT_IN, Candidate, folder_files
from hoshikage.core.errors import PluginError
from hoshikage.core.manager import PluginChoice, PluginManager
from hoshikage.core.settings import KERNEL_SECTIONS
from tests.fakes import FakeEngine, FakeFilter, FakeObserver, FakeSource

if TYPE_CHECKING:
    from hoshikage import Settings
    from hoshikage.core.manager import PluginRow

HEADER = """
from types import SimpleNamespace
from hoshikage import hookimpl

"""
GREETER = """
@hookimpl
def hoshikage_provide_observers():
    return [SimpleNamespace(name="greeter")]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of single-file plug-ins."""
    path = tmp_path / "plugins"
    path.mkdir()
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The kernel's settings, nothing configured."""
    return load_settings(Project(tmp_path), {}, KERNEL_SECTIONS)


def write(folder: Path, name: str, code: str) -> Path:
    file = folder / f"{name}.py"
    file.write_text(HEADER + textwrap.dedent(code))
    return file


def manager_of(folder: Path, **choice: Any) -> PluginManager:
    """A manager with the files of a folder and nothing else."""
    manager = PluginManager(PluginChoice(**choice))
    for candidate in folder_files(folder):
        manager.add(candidate)
    return manager


def candidate_of(name: str, door: str = "built-in", **hooks: Any) -> Candidate:
    """A plug-in made of hook implementations."""
    plugin = type("Plugin", (), {hook: staticmethod(hookimpl(function)) for hook, function in hooks.items()})
    return Candidate(name, door, f"origin of {name}", lambda: plugin)


def manager_with(*candidates: Candidate, **choice: Any) -> PluginManager:
    manager = PluginManager(PluginChoice(**choice))
    for candidate in candidates:
        manager.add(candidate)
    return manager


def row_of(manager: PluginManager, name: str) -> PluginRow:
    return next(row for row in manager.rows() if row.name == name)


# --- the doors ---


def test_built_in_plugins_are_active(tmp_path):
    """Without any choice every built-in plug-in runs."""
    manager = PluginManager.discover(PluginChoice(safe_mode=True))

    assert [(n, "built-in", "active") for n in BUILT_IN] == [(r.name, r.door, r.state) for r in manager.rows()]


def test_file_of_the_folder_is_active(folder, settings):
    """A file in the folder of plug-ins offers what its hooks return."""
    file = write(folder, "greeter", GREETER)

    manager = PluginManager.discover(PluginChoice(folder=folder))

    row = row_of(manager, "greeter")
    shown = (row.door, row.origin, row.state, row.hooks)
    assert ("file", str(file), "active", ("hoshikage_provide_observers",)) == shown
    assert "greeter" in [o.name for o in manager.observers(settings)]


def test_entry_point_is_active(settings, monkeypatch):
    """An installed package's plug-in offers what its hooks return."""
    plugin = candidate_of("x", hoshikage_provide_observers=lambda: [FakeObserver("far away")]).load()
    point = SimpleNamespace(name="far", value="far.module", dist=None, load=lambda: plugin)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [point])

    manager = PluginManager.discover(PluginChoice())

    assert ("entry point", "active") == (row_of(manager, "far").door, row_of(manager, "far").state)
    assert "far away" in [o.name for o in manager.observers(settings)]


def test_plugin_may_use_the_request_of_the_web_framework(folder):
    """A plug-in that imports Quart's `request` at its top is looked through without asking that object anything."""
    write(folder, "web", "from quart import request, current_app\n" + GREETER)

    assert "active" == row_of(manager_of(folder), "web").state


def test_plugin_without_hooks_is_active(folder):
    """A file without hooks is loaded and offers nothing."""
    write(folder, "idle", "X = 1")

    assert ("active", ()) == (row_of(manager_of(folder), "idle").state, row_of(manager_of(folder), "idle").hooks)


# --- the choice ---


@pytest.mark.parametrize(
    ("door", "choice", "state", "reason"),
    [
        ("built-in", {}, "active", ""),
        ("file", {}, "active", ""),
        ("built-in", {"disabled": {"x"}}, "disabled", "named in plugins.disabled"),
        ("file", {"disabled": {"x"}}, "disabled", "named in plugins.disabled"),
        ("entry point", {"disabled": {"x"}, "enabled": {"x"}}, "disabled", "named in plugins.disabled"),
        ("built-in", {"enabled": {"other"}}, "active", ""),
        ("file", {"enabled": {"other"}}, "disabled", "not named in plugins.enabled"),
        ("entry point", {"enabled": {"other"}}, "disabled", "not named in plugins.enabled"),
        ("file", {"enabled": {"x"}}, "active", ""),
        ("built-in", {"safe_mode": True}, "active", ""),
        ("file", {"safe_mode": True}, "disabled", "safe mode loads built-in plug-ins only"),
        ("entry point", {"safe_mode": True, "enabled": {"x"}}, "disabled", "safe mode loads built-in plug-ins only"),
    ],
)
def test_choice_decides_who_runs(door: str, choice: dict[str, Any], state: str, reason: str):
    """`enabled`, `disabled` and safe mode decide who runs, and the row says why not."""
    row = row_of(manager_with(candidate_of("x", door), **choice), "x")

    assert (state, reason) == (row.state, row.reason)


def test_refused_plugin_is_not_imported(folder):
    """A plug-in that may not run is not imported either."""
    write(folder, "rude", "raise SystemExit('it was imported')")

    manager = manager_of(folder, disabled={"rude"})

    assert "disabled" == row_of(manager, "rude").state


# --- broken ones ---


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_library_anywhere", "ModuleNotFoundError: No module named 'no_such_library_anywhere'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: "),
    ],
)
def test_broken_import_is_one_log_line(folder, code: str, reason: str):
    """A file that cannot be imported is a row with the reason, and one line in the log."""
    (folder / "bad.py").write_text(code)

    with capture_logs() as logs:
        manager = manager_of(folder)

    row = row_of(manager, "bad")
    assert ("broken", True) == (row.state, row.reason.startswith(reason))
    expected = {"event": "plugin_broken", "log_level": "error", "plugin": "bad", "reason": row.reason}
    assert [expected] == logs


def test_broken_import_leaves_others_alone(folder, settings):
    """Beside a file that cannot be imported the others work."""
    (folder / "bad.py").write_text("1 / 0")
    write(folder, "greeter", GREETER)

    assert ["greeter"] == [o.name for o in manager_of(folder).observers(settings)]


HOOK_CALLS = {
    "hoshikage_declare_settings": lambda m, s: m.setting_sections(),
    "hoshikage_provide_engines": lambda m, s: m.engines(s),
    "hoshikage_provide_model_sources": lambda m, s: m.model_sources(s),
    "hoshikage_provide_request_filters": lambda m, s: m.request_filters(s),
    "hoshikage_provide_chat_formats": lambda m, s: m.chat_formats(s),
    "hoshikage_provide_observers": lambda m, s: m.observers(s),
    "hoshikage_provide_memory": lambda m, s: m.memory_stores(s, [], SimpleNamespace()),
    "hoshikage_provide_embedders": lambda m, s: m.embedders(s, SimpleNamespace()),
    "hoshikage_provide_routes": lambda m, s: m.route_groups(SimpleNamespace(settings=s)),
    "hoshikage_provide_checks": lambda m, s: m.checks(s),
}


@pytest.mark.parametrize("hook", HOOK_CALLS)
def test_hook_that_raises_takes_the_plugin_out(settings, hook: str):
    """A third-party hook that raises makes its plug-in broken with one log line; the others still offer theirs."""
    manager = manager_with(
        candidate_of("bad", "file", **{hook: lambda: 1 / 0}),
        candidate_of("good", "file", **{hook: lambda: [FakeFilter(lambda r: r, name="good")]}),
    )

    with capture_logs() as logs:
        offered = HOOK_CALLS[hook](manager, settings)

    row = row_of(manager, "bad")
    assert (["good"], "broken", "ZeroDivisionError: division by zero", (hook,)) == (
        [item.name for item in offered],
        row.state,
        row.reason,
        row.hooks,
    )
    expected = {"event": "plugin_broken", "log_level": "error", "plugin": "bad", "reason": row.reason}
    assert [expected] == logs


def test_hook_that_breaks_half_way_offers_nothing(settings):
    """A hook that raises after it has yielded something offers nothing of it."""

    def half():
        yield FakeObserver("first")
        raise ValueError("no second one")

    manager = manager_with(candidate_of("bad", "file", hoshikage_provide_observers=half))

    assert ([], "broken") == (manager.observers(settings), row_of(manager, "bad").state)


@pytest.mark.parametrize("offer", [[None], ["text"], [FakeObserver("good"), 3], 5], ids=repr)
def test_offer_that_is_none_takes_the_plugin_out(settings, offer: Any):
    """A third-party hook that returns something without a name makes its plug-in broken."""
    manager = manager_with(candidate_of("bad", "file", hoshikage_provide_observers=lambda: offer))

    assert ([], "broken") == (manager.observers(settings), row_of(manager, "bad").state)


def test_broken_plugin_is_not_called_again(settings):
    """A plug-in that was taken out is not asked for its other hooks."""
    called = []
    manager = manager_with(
        candidate_of(
            "bad",
            "file",
            hoshikage_provide_engines=lambda: 1 / 0,
            hoshikage_provide_observers=lambda: called.append("observers"),
        )
    )
    manager.engines(settings)
    manager.observers(settings)

    assert [] == called


def test_built_in_import_that_raises_stops_the_start():
    """A built-in plug-in that cannot be imported stops the start."""
    candidate = Candidate("bad", "built-in", "here", lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        manager_with(candidate)


def test_built_in_hook_that_raises_stops_the_start(settings):
    """A built-in plug-in's hook that raises stops the start."""
    manager = manager_with(candidate_of("bad", hoshikage_provide_engines=lambda: 1 / 0))

    with pytest.raises(ZeroDivisionError):
        manager.engines(settings)


# --- what stops the start, whoever brings it ---


def test_unknown_hook_names_plugin_and_hook(folder):
    """A hook that does not exist stops the start, with the plug-in, the hook and the hooks there are."""
    file = write(folder, "typo", "@hookimpl\ndef hoshikage_provide_engine():\n    return []\n")

    with pytest.raises(PluginError) as error:
        manager_of(folder)

    beginning = f"plug-in 'typo' ({file}) implements an unknown hook 'hoshikage_provide_engine'; known hooks: "
    assert (True, True) == (error.value.message.startswith(beginning), "provide_engines" in error.value.message)


def test_wrong_hook_argument_names_the_plugin(folder):
    """A hook with an argument that does not exist stops the start, with the plug-in and the argument."""
    file = write(folder, "typo", "@hookimpl\ndef hoshikage_provide_engines(setings):\n    return []\n")

    with pytest.raises(PluginError) as error:
        manager_of(folder)

    assert (True, True) == (f"'typo' ({file})" in error.value.message, "setings" in error.value.message)


@pytest.mark.parametrize("hook", HOOK_CALLS)
def test_two_providers_of_one_name_are_both_named(settings, hook: str):
    """Two plug-ins that provide one name stop the start, with both, the name and the hook."""
    offer = {hook: lambda: [FakeFilter(lambda r: r, name="clock")]}
    manager = manager_with(candidate_of("one", "file", **offer), candidate_of("two", "entry point", **offer))

    with pytest.raises(PluginError) as error:
        HOOK_CALLS[hook](manager, settings)

    expected = f"one and two both provide 'clock' in {hook}; disable one of the plug-ins with plugins.disabled"
    assert expected == error.value.message


def test_two_plugins_of_one_name_are_both_named():
    """Two plug-ins with one name stop the start, with where each came from."""
    with pytest.raises(PluginError) as error:
        manager_with(candidate_of("clock"), Candidate("clock", "file", "/p/clock.py", dict))

    expected = (
        "two plug-ins are named 'clock': origin of clock (built-in) and /p/clock.py (file); rename one or uninstall it"
    )
    assert expected == error.value.message


def test_one_plugin_under_two_names_is_an_error():
    """One plug-in that comes under two names stops the start, with its second name."""
    candidate = candidate_of("one", "entry point")

    with pytest.raises(PluginError, match=r"plug-in 'two' \(far\)"):
        manager_with(candidate, Candidate("two", "entry point", "far", candidate.load))


def test_file_cannot_take_the_place_of_a_built_in_plugin(folder):
    """A file with the name of a built-in plug-in stops the start, even if that one is disabled."""
    write(folder, "defaults", GREETER)

    with pytest.raises(PluginError, match="two plug-ins are named 'defaults'"):
        PluginManager.discover(PluginChoice(folder=folder, disabled=frozenset({"defaults"})))


@pytest.mark.parametrize("section", [s.name for s in KERNEL_SECTIONS])
def test_section_of_the_kernel_is_taken(section: str):
    """A plug-in that declares one of the kernel's sections stops the start."""
    manager = manager_with(
        candidate_of("greedy", "file", hoshikage_declare_settings=lambda: [SettingsSection(section, dict)])
    )

    with pytest.raises(PluginError, match=f"the kernel and greedy both provide '{section}'"):
        manager.setting_sections()


# --- what is offered ---


def test_hook_gets_what_it_asks_for(settings):
    """A hook that asks for the settings gets them."""
    manager = manager_with(
        candidate_of("x", hoshikage_provide_observers=lambda settings: [FakeObserver(settings.project)])
    )

    assert [settings.project] == [observer.name for observer in manager.observers(settings)]


def test_hook_may_leave_out_its_arguments(settings):
    """A hook that needs no argument takes none."""
    manager = manager_with(candidate_of("x", hoshikage_provide_observers=lambda: [FakeObserver("quiet")]))

    assert ["quiet"] == [o.name for o in manager.observers(settings)]


def test_hook_may_return_nothing(settings):
    """A hook that returns None offers nothing."""
    manager = manager_with(candidate_of("x", hoshikage_provide_observers=lambda: None))

    assert ([], "active") == (manager.observers(settings), row_of(manager, "x").state)


def test_filters_run_in_their_order(settings):
    """Filters are sorted by `order`; equal ones stay in the order of their plug-ins."""

    def offer(name: str, order: int):
        return lambda: [FakeFilter(lambda r: r, name=name, order=order)]

    manager = manager_with(
        candidate_of("one", hoshikage_provide_request_filters=offer("last", 100)),
        candidate_of("two", hoshikage_provide_request_filters=offer("first", -5)),
        candidate_of("three", hoshikage_provide_request_filters=offer("middle", 50)),
        candidate_of("four", hoshikage_provide_request_filters=offer("middle too", 50)),
    )

    assert ["first", "middle", "middle too", "last"] == [f.name for f in manager.request_filters(settings)]


def test_engines_come_in_the_order_of_the_doors(settings):
    """The first plug-in's engine is asked first."""
    manager = manager_with(
        candidate_of("one", hoshikage_provide_engines=lambda: [FakeEngine("a"), FakeEngine("b")]),
        candidate_of("two", "file", hoshikage_provide_engines=lambda: [FakeEngine("c")]),
    )

    assert ["a", "b", "c"] == [e.name for e in manager.engines(settings)]


def test_disabled_plugin_offers_nothing(settings):
    """A disabled plug-in's hooks are not called."""
    manager = manager_with(
        candidate_of("x", hoshikage_provide_model_sources=lambda: [FakeSource(["m"])]), disabled={"x"}
    )

    assert [] == manager.model_sources(settings)


def test_routes_get_the_server(settings):
    """The hook for routes gets what routes may ask of the kernel."""
    server = SimpleNamespace(settings=settings)
    manager = manager_with(candidate_of("x", hoshikage_provide_routes=lambda server: [RouteGroup("r", server)]))

    assert [server] == [group.blueprint for group in manager.route_groups(server)]


async def test_file_of_three_lines_changes_requests(folder, settings):
    """A plug-in of one class in one file changes a request."""
    write(
        folder,
        "polite",
        """
        from dataclasses import replace

        class Polite:
            name = "polite"
            order = 10

            async def apply(self, request, record, caller):
                return replace(request, prompt=request.prompt + ", please")

        @hookimpl
        def hoshikage_provide_request_filters():
            return [Polite()]
        """,
    )
    (polite,) = manager_of(folder).request_filters(settings)

    changed = await polite.apply(ChatRequest("1", "m", prompt="sing"), ModelRecord("m"), None)

    assert "sing, please" == changed.prompt
