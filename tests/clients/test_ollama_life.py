"""The life of a model through the official Ollama client: blobs, create, show, chat, copy, delete."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import gguf
import ollama
import pytest

from tests.clients.conftest import CLIENT_LIMIT_S
from tests.plugins.engine_llamacpp import tiny as tiny_models
from tests.plugins.engine_llamacpp.tiny import write_llama
from tests.server import ServerProcess
from tests.wire import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TENSORS_IN_A_PART = 6
GREEDY = {"temperature": 0, "num_predict": 8}
HELLO = [{"role": "user", "content": "hello there"}]
CHATML = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that these tests may change; each uses names of its own."""
    server = ServerProcess(tmp_path_factory.mktemp("life"))
    yield server
    server.stop()


@pytest.fixture
def client(server: ServerProcess) -> ollama.Client:
    """The official client."""
    return ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of the client's."""
    return write_llama(
        tmp_path_factory.mktemp("client") / "tiny.gguf", chat_template="{% for m in messages %}{% endfor %}"
    )


def names(client: ollama.Client) -> set[str]:
    return {model.model for model in client.list().models}


def blob_of(server: ServerProcess, file: Path) -> Path:
    return server.data_dir / "blobs" / f"sha256-{hashlib.sha256(file.read_bytes()).hexdigest()}"


def test_model_is_made_of_a_file_that_the_client_sends(client: ollama.Client, server: ServerProcess, tiny: Path):
    """The blob is stored once, the model answers, and nothing of the weights is copied a second time."""
    digest = client.create_blob(tiny)
    steps = list(client.create("of-file", files={"tiny.gguf": digest}, stream=True))
    done = client.generate("of-file", "hi", options={"num_predict": 3}, raw=True)
    found = [file for file in server.data_dir.rglob("*") if file.stat().st_size >= tiny.stat().st_size]

    assert f"using existing layer {digest}" in [step.status for step in steps]
    assert "success" == steps[-1].status
    assert 3 == done.eval_count
    assert [blob_of(server, tiny)] == found


def test_split_model_is_made_of_its_parts(
    client: ollama.Client, server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It answers as the whole one does, and nothing of it is left when it is deleted."""
    whole = tiny_models.write_llama(tmp_path / "whole.gguf", noise=0.75)
    with monkeypatch.context() as patch:
        parted = functools.partial(gguf.GGUFWriter, split_max_tensors=TENSORS_IN_A_PART)
        patch.setattr(tiny_models.gguf, "GGUFWriter", parted)
        tiny_models.write_llama(tmp_path / "parts.gguf", noise=0.75)
    parts = sorted(tmp_path.glob("parts-*-of-*.gguf"))
    client.create("whole", files={whole.name: client.create_blob(whole)})
    client.create("parts", files={part.name: client.create_blob(part) for part in reversed(parts)})

    answers = [client.generate(name, "hi", raw=True, options=GREEDY).response for name in ("whole", "parts")]
    client.delete("parts")

    assert len(parts) > 1
    assert answers[0] == answers[1] != ""
    assert [] == list((server.data_dir / "split").iterdir())
    assert not any(blob_of(server, part).exists() for part in parts)


def test_adapter_of_a_model_is_always_used(client: ollama.Client, tiny: Path, tmp_path: Path):
    """It changes the answers; `show` names it."""
    adapter = tiny_models.write_lora(tmp_path / "adapter.gguf")
    client.create("plain", files={"tiny.gguf": client.create_blob(tiny)})
    client.create("tuned", from_="plain", adapters={"adapter.gguf": client.create_blob(adapter)})

    answers = [client.generate(name, "hi", options=GREEDY).response for name in ("plain", "tuned")]

    assert answers[0] != answers[1]
    assert "ADAPTER sha256-" in client.show("tuned").modelfile


def test_model_is_made_of_another(client: ollama.Client):
    """What is said to the model is used in every chat, and what the request says itself wins."""
    plain = client.chat("echo", HELLO)
    done = client.create(
        "polite",
        from_="echo",
        system="Be very kind to everybody.",
        parameters={"num_predict": 1, "temperature": 0.25, "stop": ["zzz"]},
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Good day"}],
    )

    opened = client.chat("polite", HELLO)
    own = client.chat("polite", [{"role": "system", "content": "Be."}, *HELLO], options={"num_predict": 2})

    assert "success" == done.status
    assert (2, 1, 2) == (plain.eval_count, opened.eval_count, own.eval_count)
    assert opened.prompt_eval_count > own.prompt_eval_count > plain.prompt_eval_count
    assert ("hello", "length") == (opened.message.content.strip(), opened.done_reason)


def test_show_tells_how_a_model_was_made(client: ollama.Client):
    """All that was given is shown again, and as a Modelfile."""
    client.create(
        "shown",
        from_="echo",
        template=CHATML,
        system="Be kind.\nAnd brief.",
        parameters={"temperature": 0.25, "stop": ["a", '"b"']},
        messages=[{"role": "user", "content": "Hi"}],
        license=["MIT", "or not"],
    )

    shown = client.show("shown")

    assert CHATML == shown.template
    assert "MIT\nor not" == shown.license
    assert "echo" == shown.details.parent_model
    assert ["temperature                    0.25", 'stop                           "a"'] == shown.parameters.split(
        "\n"
    )[:2]
    for line in (
        'SYSTEM """Be kind.\nAnd brief."""',
        f'TEMPLATE """{CHATML}"""',
        "PARAMETER temperature                    0.25",
        r'PARAMETER stop                           "\"b\""',
        "MESSAGE user Hi",
        'LICENSE """MIT\nor not"""',
    ):
        assert line in shown.modelfile


def test_template_decides_what_a_model_can_do(client: ollama.Client):
    """A template without thinking takes it away from the model, and one of Llama's makes its calls Llama's."""
    client.create("simple", from_="echo", template=CHATML)

    assert "thinking" in client.show("echo").capabilities
    assert "thinking" not in client.show("simple").capabilities


def test_models_of_one_file_are_told_apart(client: ollama.Client, tiny: Path):
    """Clients take models of one digest for one model, so what is said to them counts too."""
    digest = client.create_blob(tiny)
    client.create("one", files={"tiny.gguf": digest})
    client.create("two", from_="one", system="Be kind.")
    client.copy("one", "three")
    digests = {model.model: model.digest for model in client.list().models}

    assert digests["one:latest"] == digests["three:latest"] == digest.removeprefix("sha256:")
    assert digests["one:latest"] != digests["two:latest"]


def test_blobs_go_with_the_last_model_that_uses_them(client: ollama.Client, server: ServerProcess, tmp_path: Path):
    """A copy and a model made of it keep the file; when all are deleted, the file is gone."""
    file = write_llama(tmp_path / "other.gguf", noise=0.5)
    client.create("first", files={"a.gguf": client.create_blob(file)})
    client.copy("first", "second:v1")
    client.create("third", from_="second:v1", system="x")

    client.delete("first")
    client.delete("SECOND:v1")
    kept = blob_of(server, file).is_file()
    client.delete("third")

    assert kept
    assert not blob_of(server, file).exists()
    assert not names(client) & {"first:latest", "second:v1", "third:latest"}


def test_replacing_a_model_lets_its_file_go(client: ollama.Client, server: ServerProcess, tmp_path: Path, tiny: Path):
    """A create under a name that is taken stands in its place."""
    file = write_llama(tmp_path / "old.gguf", noise=0.25)
    client.create("replaced", files={"a.gguf": client.create_blob(file)})

    client.create("replaced", files={"tiny.gguf": client.create_blob(tiny)})

    assert not blob_of(server, file).exists()
    assert blob_of(server, tiny).is_file()


def test_deleted_model_is_unloaded(client: ollama.Client, server: ServerProcess, tmp_path: Path):
    """A model that is loaded goes on being deleted, soon after."""
    file = write_llama(tmp_path / "loaded.gguf", noise=0.125)
    client.create("loaded", files={"a.gguf": client.create_blob(file)})
    client.generate("loaded", "hi", raw=True, options={"num_predict": 1})
    loaded = [model.model for model in client.ps().models]

    client.delete("loaded")

    assert "loaded:latest" in loaded
    until(lambda: "loaded:latest" not in [model.model for model in client.ps().models])


@pytest.mark.parametrize(
    ("act", "status", "words"),
    [
        (lambda c: c.create("x", from_="nobody"), 404, "model 'nobody' not found"),
        (lambda c: c.copy("nobody", "x"), 404, "model 'nobody' not found"),
        (lambda c: c.delete("nobody"), 404, "model 'nobody' not found"),
        (lambda c: c.delete("echo"), 400, "offered by a plug-in"),
        (lambda c: c.create("x"), 400, "from and files"),
        (lambda c: c.create("x", from_="echo", quantize="q4_0"), 400, "does not quantise"),
        (lambda c: c.create("x", from_="echo", template="{{ .Nothing }}"), 400, "line 1: .Nothing is unknown"),
        (lambda c: c.create("x", from_="echo", parameters={"top_p": 7}), 400, "parameters.top_p"),
        (lambda c: c.create("../x", from_="echo"), 400, "not allowed"),
        (lambda c: c.copy("echo", "a/../b"), 400, "not allowed"),
        (lambda c: c.create("x", files={"../a.gguf": "sha256:" + "0" * 64}), 400, "file name '../a.gguf'"),
        (lambda c: c.create("x", files={"/a.gguf": "sha256:" + "0" * 64}), 400, "file name '/a.gguf'"),
        (lambda c: c.create("x", files={"a.gguf": "sha256:" + "0" * 64}), 400, "is not here; send it to POST"),
        (lambda c: c.create("x", files={"a.gguf": "../../etc/passwd"}), 400, "64 hex digits"),
    ],
)
def test_refusals_say_what_is_wrong(client: ollama.Client, act: object, status: int, words: str):
    """Each has its status and names the field or the model; no model comes of it."""
    before = names(client)

    with pytest.raises(ollama.ResponseError) as caught:
        act(client)

    assert status == caught.value.status_code
    assert words in caught.value.error
    assert before == names(client)


def test_refusal_keeps_its_status_in_a_stream(client: ollama.Client):
    """What is wrong is said before the first line."""
    with pytest.raises(ollama.ResponseError) as caught:
        list(client.create("x", from_="nobody", stream=True))

    assert 404 == caught.value.status_code
