"""Long-term memory with the official clients: switches, isolation, correction, forgetting, export and import."""

from __future__ import annotations

from pathlib import Path

import httpx
import ollama
import pytest

from tests.clients.remembering import FACT, QUESTION, Remembering, ask

FACT_JA = "うちの猫は蜜柑という名前で、京都に住んでいます。"
MARK = "<recalled_memories>"


@pytest.mark.parametrize(("fact", "question"), [(FACT, QUESTION), (FACT_JA, "猫の名前は何ですか")])
def test_what_was_said_comes_back_in_another_conversation(server, fact, question):
    """In front of the newest message stands what was said, fenced, with its day and who said it."""
    server.tell(fact)
    seen = ask(server.client(memory="on"), question)

    assert seen.startswith(MARK)
    assert f"user: {fact}" in seen
    assert seen.endswith(f"</recalled_memories>\n\n{question}")


def test_memory_is_off_by_default(server):
    """Who does not ask for it is neither remembered nor told anything."""
    server.tell()
    before = server.memories()
    seen = ask(server.client(), QUESTION)

    assert (QUESTION, before) == (seen, server.memories())


def test_read_recalls_and_writes_nothing(server):
    """A client may be told what is known without adding to it."""
    server.tell()
    before = server.memories()
    seen = ask(server.client(memory="read"), QUESTION)

    assert (True, before) == (FACT in seen, server.memories())


def test_a_model_name_switches_it_on(server):
    """For clients that can set nothing but the model; a header wins over it."""
    server.tell()
    by_name = ask(server.client(), QUESTION, model="echo+memory")
    off = ask(server.client(memory="off"), QUESTION, model="echo+memory")

    assert (True, False) == (FACT in by_name, FACT in off)


def test_the_ollama_client_has_it_too(server):
    """Both protocols share the memories of one person."""
    server.tell()
    client = ollama.Client(host=server.url, headers=server.headers(memory="on"))
    answer = client.chat("echo", messages=[{"role": "user", "content": QUESTION}])

    assert FACT in answer.message.content


@pytest.mark.parametrize(
    "other",
    [{"key": "b"}, {"user": "bob"}, {"project": "work"}, {"user": "Alice"}, {"key": "b", "user": "alice"}],
)
def test_nobody_reaches_the_memories_of_another(server, other):
    """Key, user and project each keep memories apart, in recall and in every route."""
    server.tell(user="alice")
    stranger = server.client(**{"memory": "read", **other})
    mine = server.memories(user="alice")[0]["id"]
    with server.web(**other) as web:
        listed = web.get("/v1/memories").json()["data"]
        found = web.get("/v1/memories", params={"q": "cat Mikan Kyoto"}).json()["data"]
        changed = [web.patch(f"/v1/memories/{mine}", json={"text": "x"}).status_code]
        changed += [web.delete(f"/v1/memories/{mine}").status_code]
        exported = web.get("/v1/memories/export").text
        web.delete("/v1/memories")

    assert FACT not in ask(stranger, QUESTION)
    assert ([], [], [404, 404], "") == (listed, found, changed, exported)
    assert [FACT] == [row["text"] for row in server.memories(user="alice")]


def test_a_memory_is_corrected(server):
    """What it said before is not recalled any more."""
    server.tell()
    with server.web() as web:
        for row in server.memories():
            text = row["text"].replace("Mikan", "Yuzu")
            web.patch(f"/v1/memories/{row['id']}", json={"text": text}).raise_for_status()
    seen = ask(server.client(memory="read"), QUESTION)

    assert (True, False) == ("Yuzu" in seen, "Mikan" in seen)


def test_forgotten_is_gone_from_the_disk(start_server):
    """No byte of a forgotten memory stays in the data directory, neither as text nor as terms of the index."""
    server = Remembering(start_server())
    server.tell(FACT_JA)
    server.tell("The password of the zebra is Quagga-77.")
    files = [file for file in server.running.data_dir.rglob("*") if file.is_file()]
    traces = ("蜜柑".encode(), b"Quagga", b"quagga")
    before = [any(trace in file.read_bytes() for file in files) for trace in traces]
    httpx.delete(f"{server.url}/v1/memories", headers=server.headers()).raise_for_status()
    files = [file for file in server.running.data_dir.rglob("*") if file.is_file()]
    after = [file.name for file in files for trace in traces if trace in file.read_bytes()]

    assert ([True, True, True], []) == (before, after)
    assert [] == server.memories()


def test_export_and_import(server):
    """What one person has, another one gets, with the times; a second import adds nothing."""
    server.tell()
    with server.web("a") as mine, server.web("b") as theirs:
        lines = mine.get("/v1/memories/export").raise_for_status().content
        imports = [theirs.post("/v1/memories/import", content=lines).raise_for_status() for _ in range(2)]
    taken = [answer.json()["imported"] for answer in imports]
    copies = [{k: v for k, v in row.items() if k != "id"} for row in server.memories(key="b")]

    assert [1, 0] == taken
    assert copies == [{k: v for k, v in row.items() if k != "id"} for row in server.memories()]


def test_what_was_recalled_stands_in_the_receipt(server):
    """By id, with the score and its parts, and without a text."""
    server.tell()
    response = server.client(memory="read").chat.completions.with_raw_response.create(
        model="echo", messages=[{"role": "user", "content": QUESTION}]
    )
    number = response.headers["x-request-id"]
    receipt = httpx.get(f"{server.url}/v1/receipts/{number}", headers=server.headers()).raise_for_status()
    strange = httpx.get(f"{server.url}/v1/receipts/{number}", headers=server.headers("b"))
    recalled = receipt.json()["recalled"]

    assert {row["id"] for row in server.memories()} >= {item["id"] for item in recalled} > set()
    assert all(0 < item["score"] <= 1 and "words" in item["why"] for item in recalled)
    assert 0 < receipt.json()["recall_s"] < receipt.json()["total_s"]
    assert "Mikan" not in receipt.text
    assert 404 == strange.status_code


def test_memories_outlive_a_kill(start_server, tmp_path: Path):
    """Everything that is listed was on the disk."""
    server = Remembering(start_server(tmp_path))
    server.tell()
    server.running.process.kill()
    server.running.process.wait()
    again = Remembering(start_server(tmp_path))

    assert [FACT] == [row["text"] for row in again.memories() if row["role"] == "user"]
