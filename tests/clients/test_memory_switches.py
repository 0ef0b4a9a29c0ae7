"""Switches of memory that stand in bodies and in model names, with the official clients."""

from __future__ import annotations

import httpx
import ollama
import openai
import pytest

from tests.clients.remembering import FACT, QUESTION, Remembering, ask

BLOCK = "<recalled_memories>"
NAMES = ["echo+memory", "echo:latest+memory", "echo+memory:latest", "ECHO+MEMORY"]


def ollama_client(server: Remembering, **names: str) -> ollama.Client:
    return ollama.Client(host=server.url, headers=server.headers(**names))


def sessions(server: Remembering) -> set[str]:
    """The conversations of everything that is remembered."""
    return {row["session"] for row in server.memories()}


# --- the conversation ---


@pytest.mark.parametrize("body", [{"session_id": "s1"}, {"metadata": {"session_id": "s1"}}])
def test_an_openai_body_names_the_conversation(server, body):
    """What is said is filed there, beside what other requests of that name say."""
    for text in (FACT, "And a dog."):
        server.tell(text, extra_body=body)

    assert {"s1"} == sessions(server)


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_an_ollama_body_names_the_conversation(server, path):
    """At the top of the body, beside the fields of Ollama."""
    asked = {"prompt": FACT} if path == "generate" else {"messages": [{"role": "user", "content": FACT}]}
    with server.web(memory="on") as web:
        body = {"model": "echo", "stream": False, "session_id": "s1", **asked}
        web.post(f"/api/{path}", json=body).raise_for_status()
    server.wait_for(FACT)

    assert {"s1"} == sessions(server)


def test_the_header_wins_over_the_body(server):
    """As it wins over the model's name."""
    server.tell(session="header", extra_body={"session_id": "body"})

    assert {"header"} == sessions(server)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("x" * 257, "257 characters; 256 are allowed"), ("a\nb", "'\\n' at place 1"), (5, "Expected `str | null`")],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_a_name_that_is_none_is_refused(server, path, name, problem):
    """With the field, what is wrong and what is allowed; nothing is answered or written."""
    body = {"model": "echo", "messages": [{"role": "user", "content": FACT}], "session_id": name}
    with server.web(memory="on") as web:
        answer = web.post(path, json=body)
    error = answer.json()["error"]
    message = error["message"] if isinstance(error, dict) else error

    assert (400, True) == (answer.status_code, message.startswith("session_id: "))
    assert problem in message
    assert [] == server.memories()


# --- the model's name ---


@pytest.mark.parametrize("name", NAMES)
def test_each_spelling_of_the_name_recalls(server, name):
    """Some clients put a tag behind every name that has none."""
    server.tell()

    assert FACT in ask(server.client(), QUESTION, model=name)
    assert FACT in ollama_client(server).chat(name, messages=[{"role": "user", "content": QUESTION}]).message.content


@pytest.mark.parametrize("name", NAMES)
def test_clients_that_look_before_they_ask_find_the_model(server, name):
    """OpenAI's gets the id that it asked for; Ollama's gets all of the model, and can load it and let it go."""
    client = ollama_client(server)
    shown, plain = client.show(name), client.show("echo")
    loaded = client.generate(name, "")
    unloaded = client.generate(name, "", keep_alive=0)

    assert name == server.client().models.retrieve(name).id
    assert (plain.capabilities, plain.modelinfo) == (shown.capabilities, shown.modelinfo)
    assert ("load", "unload") == (loaded.done_reason, unloaded.done_reason)


def test_lists_have_each_model_once(server):
    """The name with the switch is the same model: it is neither listed nor shown as loaded beside it."""
    ask(server.client(), "hi", model="echo+memory")
    with server.web() as web:
        lists = [web.get("/v1/models").json()["data"], web.get("/api/tags").json()["models"]]
        running = web.get("/api/ps").json()["models"]

    assert [["echo"], ["echo:latest"]] == [[row.get("id") or row["name"] for row in rows] for rows in lists]
    assert ["echo:latest"] == [row["name"] for row in running]


def test_it_cannot_delete_or_copy_by_that_name(server):
    """What changes models takes no name but their own."""
    client = ollama_client(server)
    for change in (lambda: client.delete("echo+memory"), lambda: client.copy("echo+memory", "other")):
        with pytest.raises(ollama.ResponseError, match="not found") as error:
            change()
        assert 404 == error.value.status_code


def test_a_model_that_is_not_there_is_told_by_the_name_that_was_given(server):
    """A client looks for its own words."""
    with pytest.raises(openai.NotFoundError, match=r"none\+memory"):
        server.client().models.retrieve("none+memory")


# --- generate ---


def test_generate_recalls_and_remembers(server):
    """Its prompt is what the user says, and the conversation that it carries along holds no block."""
    client = ollama_client(server)
    first = client.generate("echo+memory", FACT)
    server.wait_for(FACT)
    second = client.generate("echo+memory", QUESTION)
    third = client.generate("echo+memory", "And where does it live?", context=second.context)

    assert FACT == first.response
    assert second.response.startswith(BLOCK)
    assert second.response.endswith(f"\n\n{QUESTION}")
    assert BLOCK not in bytes(third.context).decode().split('"role":"assistant"')[0]


def test_generate_is_one_conversation_as_far_as_its_context_goes(server):
    """Without one, each prompt begins another."""
    client = ollama_client(server, memory="on")
    context = client.generate("echo", "I have a cat.").context
    client.generate("echo", "It likes fish.", context=context)
    client.generate("echo", "Something else.")
    server.wait_for("Something else.")
    server.wait_for("It likes fish.")
    session = {row["text"]: row["session"] for row in server.memories() if row["role"] == "user"}

    assert session["I have a cat."] == session["It likes fish."] != session["Something else."]


@pytest.mark.parametrize("fields", [{"raw": True}, {"suffix": "end"}])
def test_raw_prompts_and_gaps_have_no_memory(server, fields):
    """A text goes to the model as it stands: nothing is put in front of it, and nothing is kept of it."""
    server.tell()
    before = server.memories()
    body = {"model": "echo+memory", "prompt": QUESTION, "stream": False, **fields}
    with server.web() as web:
        seen = web.post("/api/generate", json=body).raise_for_status().json()["response"]

    assert (QUESTION, before) == (seen, server.memories())


def test_completions_have_no_memory(server):
    """They are raw prompts too."""
    server.tell()
    body = {"model": "echo+memory", "prompt": QUESTION, "session_id": "s"}
    answer = httpx.post(f"{server.url}/v1/completions", json=body, headers=server.headers())

    assert QUESTION == answer.json()["choices"][0]["text"]
