"""Looking after memories from the command line, through a real server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from tests.core.cli.conftest import CommandLine
from tests.server import ServerProcess

FACT = "My cat is called Mikan."
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all tests: each has a key of its own."""
    running = ServerProcess(tmp_path_factory.mktemp("data"))
    yield running
    running.stop()


@pytest.fixture
def said(server: ServerProcess) -> Callable[..., str]:
    """What a command that succeeds prints, with a server beside it."""
    hoshikage = CommandLine(server.data_dir, {"HOSHIKAGE_API_KEY": f"key-{next(NUMBERS)}"})
    port = server.url.rpartition(":")[2]

    def run(*arguments: str, status: int = 0) -> str:
        done = hoshikage("memory", *arguments, "--port", port)
        assert status == done.returncode, done.stderr
        return done.stdout + done.stderr

    return run


def test_a_note_is_written_found_corrected_and_forgotten(said: Callable[..., str]):
    """Each command by itself, as a person would use them."""
    identity = said("add", FACT).strip()
    listed, found = said("list"), said("search", "What is the cat called?")
    said("edit", identity, "My cat is called Yuzu.")
    corrected = said("list")
    forgotten = said("forget", identity)

    assert all(identity in shown and FACT in shown for shown in (listed, found))
    assert "Yuzu" in corrected
    assert "Mikan" not in corrected
    assert (f"{identity} is forgotten\n", "[]\n") == (forgotten, said("list", "--json"))


def test_each_user_has_their_own(said: Callable[..., str]):
    """By name, in any script, and by key."""
    said("add", FACT, "--user", "花子")
    others = [said("list", "--json", *who) for who in ((), ("--user", "花"), ("--user", "花子", "--key", "k"))]

    assert ["[]\n"] * 3 == others
    assert FACT in said("list", "--user", "花子")


def test_export_and_import(said: Callable[..., str], tmp_path: Path):
    """What one user has, another one gets; once."""
    for text in (FACT, "うちの犬は柚子です。"):
        said("add", text, "--user", "ann")
    said("export", str(tmp_path / "ann.jsonl"), "--user", "ann")
    counts = [said("import", str(tmp_path / "ann.jsonl"), "--user", "bob") for _ in range(2)]
    texts = [json.loads(line)["text"] for line in said("export", "--user", "bob").splitlines()]

    assert ["2 memories are new\n", "0 memories are new\n"] == counts
    assert [FACT, "うちの犬は柚子です。"] == texts


def test_an_export_is_private(said: Callable[..., str], tmp_path: Path):
    """Like the file of memories, it is readable for its owner alone; a place that is not there is named."""
    said("add", FACT)
    said("export", str(tmp_path / "mine.jsonl"))
    refused = " ".join(said("export", str(tmp_path / "no" / "x"), status=2).replace("│", "").split())

    assert 0o600 == (tmp_path / "mine.jsonl").stat().st_mode & 0o777
    assert "cannot be written: No such file or directory" in refused


def test_who_has_none_learns_how_to_name_others(said: Callable[..., str]):
    """Memories of a key or a user are not in the list of those without."""
    said("add", FACT, "--user", "ann")

    assert "--user" in said("list")
    assert "--user" in said("search", "cat")


def test_everything_is_forgotten_only_when_it_is_said(said: Callable[..., str]):
    """Neither nothing nor both is an order."""
    said("add", FACT)

    assert "name one memory, or say --all" in said("forget", status=2)
    assert "1 memories are forgotten\n" == said("forget", "--all")


def test_what_is_wrong_is_one_line(said: Callable[..., str], tmp_path: Path):
    """In the server's words."""
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n{"no": 1}\n')

    assert "there is no memory 'mem_x'" in said("edit", "mem_x", "text", status=1)
    assert "line 2 is no memory" in said("import", str(tmp_path / "bad.jsonl"), status=1)
    assert "[]\n" == said("list", "--json")


def test_a_damaged_store_is_seen_and_made_anew(said: Callable[..., str], server: ServerProcess):
    """A person sees what is wrong and what to do; after that, nothing is. It looks at everybody's memories."""
    said("add", FACT)
    with apsw.Connection(str(server.data_dir / "memory" / "memories.sqlite3")) as connection:
        connection.set_busy_timeout(5_000)  # the server may still be at work in the background
        connection.execute("INSERT INTO term (term) VALUES ('delete-all')")
    damaged, rebuilt = said("verify", status=1), said("rebuild")
    sound = {row["part"]: row for row in json.loads(said("verify", "--json"))}

    assert "hoshikage memory rebuild" in damaged
    assert "words" in rebuilt
    assert {"file", "words", "index"} <= sound.keys()
    assert {0} == {row["wrong"] for row in sound.values()}
    assert sound["words"]["looked_at"] == sound["words"]["total"] > 0


def test_a_folder_is_no_export(said: Callable[..., str], tmp_path: Path):
    """The predecessor's database is one; the message says how it comes in."""
    message = " ".join(said("import", str(tmp_path), status=2).replace("│", "").split())

    assert "set chroma.path" in message
