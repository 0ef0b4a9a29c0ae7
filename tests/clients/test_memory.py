"""Long-term memory with the official clients: switches, isolation, correction, forgetting, export and import."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import ollama
import openai
import pytest

from tests.server import ServerProcess

LIMIT_S = 10.0
FACT = "My cat is called Mikan and lives in Kyoto."
FACT_JA = "うちの猫は蜜柑という名前で、京都に住んでいます。"
MARK = "<recalled_memories>"


@pytest.fixture
def server(tmp_path: Path):
    """A server with the echo engine; nothing of memory is switched on."""
    running = ServerProcess(tmp_path)
    yield running
    running.stop()


def client_of(server: ServerProcess, *, key: str = "key-a", **headers: str) -> openai.OpenAI:
    """The official client with headers of Hoshikage, e.g. `memory="on"`."""
    named = {f"X-Hoshikage-{name.title()}": value for name, value in headers.items()}
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, default_headers=named)


def ask(client: openai.OpenAI, text: str, model: str = "echo") -> str:
    """What the model saw: the echo answers with the message as it got it."""
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content or ""


def memories(server: ServerProcess, *, key: str = "key-a", user: str = "", **query: object) -> list[dict]:
    headers = {"Authorization": f"Bearer {key}", "X-Hoshikage-User": user}
    return httpx.get(f"{server.url}/v1/memories", headers=headers, params=query).raise_for_status().json()["data"]


def told(server: ServerProcess, text: str = FACT, **headers: str) -> None:
    """Say something, and wait until it is written down: that happens after the answer."""
    key, user = headers.get("key", "key-a"), headers.get("user", "")
    before = len(memories(server, key=key, user=user, limit=1000))
    ask(client_of(server, **{"memory": "on", **headers}), text)
    end = time.monotonic() + LIMIT_S
    while len(memories(server, key=key, user=user, limit=1000)) == before:
        assert time.monotonic() < end, "it was not written down"
        time.sleep(0.01)


@pytest.mark.parametrize(("fact", "question"), [(FACT, "What is my cat called?"), (FACT_JA, "猫の名前は何ですか")])
def test_what_was_said_comes_back_in_another_conversation(server, fact, question):
    """In front of the newest message stands what was said, fenced, with its day and who said it."""
    told(server, fact)
    seen = ask(client_of(server, memory="on"), question)

    assert seen.startswith(MARK)
    assert f"user: {fact}" in seen
    assert seen.endswith(f"</recalled_memories>\n\n{question}")


def test_memory_is_off_by_default(server):
    """Who does not ask for it is neither remembered nor told anything."""
    told(server)
    before = memories(server)
    seen = ask(client_of(server), "What is my cat called?")

    assert ("What is my cat called?", before) == (seen, memories(server))


def test_read_recalls_and_writes_nothing(server):
    """A client may be told what is known without adding to it."""
    told(server)
    before = memories(server)
    seen = ask(client_of(server, memory="read"), "What is my cat called?")

    assert (True, before) == (FACT in seen, memories(server))


def test_a_model_name_switches_it_on(server):
    """For clients that can set nothing but the model; a header wins over it."""
    told(server)
    by_name = ask(client_of(server), "What is my cat called?", model="echo+memory")
    off = ask(client_of(server, memory="off"), "What is my cat called?", model="echo+memory")

    assert (True, False) == (FACT in by_name, FACT in off)


def test_the_ollama_client_has_it_too(server):
    """Both protocols share the memories of one person."""
    told(server)
    headers = {"Authorization": "Bearer key-a", "X-Hoshikage-Memory": "on"}
    answer = ollama.Client(host=server.url, headers=headers).chat(
        "echo", messages=[{"role": "user", "content": "What is my cat called?"}]
    )

    assert FACT in answer.message.content


@pytest.mark.parametrize(
    "other",
    [{"key": "key-b"}, {"user": "bob"}, {"project": "work"}, {"user": "Alice"}, {"key": "key-b", "user": "alice"}],
)
def test_nobody_reaches_the_memories_of_another(server, other):
    """Key, user and project each keep memories apart, in recall and in every route."""
    told(server, user="alice")
    stranger = client_of(server, **{"memory": "read", **other})
    headers = {"Authorization": f"Bearer {other.get('key', 'key-a')}"}
    headers |= {f"X-Hoshikage-{n.title()}": v for n, v in other.items() if n != "key"}
    mine = memories(server, user="alice")[0]["id"]
    with httpx.Client(base_url=server.url, headers=headers) as web:
        listed = web.get("/v1/memories").json()["data"]
        found = web.get("/v1/memories", params={"q": "cat Mikan Kyoto"}).json()["data"]
        changed = [web.patch(f"/v1/memories/{mine}", json={"text": "x"}).status_code]
        changed += [web.delete(f"/v1/memories/{mine}").status_code]
        exported = web.get("/v1/memories/export").text
        web.delete("/v1/memories")

    assert FACT not in ask(stranger, "What is my cat called?")
    assert ([], [], [404, 404], "") == (listed, found, changed, exported)
    assert [FACT] == [row["text"] for row in memories(server, user="alice")]


def test_a_memory_is_corrected(server):
    """What it said before is not recalled any more."""
    told(server)
    for row in memories(server):
        text = row["text"].replace("Mikan", "Yuzu")
        headers = {"Authorization": "Bearer key-a"}
        httpx.patch(f"{server.url}/v1/memories/{row['id']}", json={"text": text}, headers=headers).raise_for_status()
    seen = ask(client_of(server, memory="read"), "What is my cat called?")

    assert (True, False) == ("Yuzu" in seen, "Mikan" in seen)


def test_forgotten_is_gone_from_the_disk(server):
    """No byte of a forgotten memory stays in the data directory, neither as text nor as terms of the index."""
    told(server, FACT_JA)
    told(server, "The password of the zebra is Quagga-77.")
    files = [file for file in server.data_dir.rglob("*") if file.is_file()]
    traces = ("蜜柑".encode(), b"Quagga", b"quagga")
    before = [any(trace in file.read_bytes() for file in files) for trace in traces]
    httpx.delete(f"{server.url}/v1/memories", headers={"Authorization": "Bearer key-a"}).raise_for_status()
    files = [file for file in server.data_dir.rglob("*") if file.is_file()]
    after = [file.name for file in files for trace in traces if trace in file.read_bytes()]

    assert ([True, True, True], []) == (before, after)
    assert [] == memories(server)


def test_export_and_import(server):
    """What one person has, another one gets, with the times; a second import adds nothing."""
    told(server)
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in ("key-a", "key-b"))
    lines = httpx.get(f"{server.url}/v1/memories/export", headers=mine).raise_for_status().content
    taken = [
        httpx.post(f"{server.url}/v1/memories/import", content=lines, headers=theirs)
        .raise_for_status()
        .json()["imported"]
        for _ in range(2)
    ]
    copies = [{k: v for k, v in row.items() if k != "id"} for row in memories(server, key="key-b")]

    assert [1, 0] == taken
    assert copies == [{k: v for k, v in row.items() if k != "id"} for row in memories(server)]


def test_what_was_recalled_stands_in_the_receipt(server):
    """By id, with the score and its parts, and without a text."""
    told(server)
    response = client_of(server, memory="read").chat.completions.with_raw_response.create(
        model="echo", messages=[{"role": "user", "content": "What is my cat called?"}]
    )
    number = response.headers["x-request-id"]
    headers = {"Authorization": "Bearer key-a"}
    receipt = httpx.get(f"{server.url}/v1/receipts/{number}", headers=headers).raise_for_status()
    strange = httpx.get(f"{server.url}/v1/receipts/{number}", headers={"Authorization": "Bearer key-b"})
    recalled = receipt.json()["recalled"]

    assert {row["id"] for row in memories(server)} >= {item["id"] for item in recalled} > set()
    assert all(0 < item["score"] <= 1 and "words" in item["why"] for item in recalled)
    assert "Mikan" not in receipt.text
    assert 404 == strange.status_code


def test_memories_outlive_a_kill(server, tmp_path):
    """Everything that is listed was on the disk."""
    told(server)
    server.process.kill()
    server.process.wait()
    again = ServerProcess(tmp_path)
    try:
        assert [FACT] == [row["text"] for row in memories(again) if row["role"] == "user"]
    finally:
        again.stop()
