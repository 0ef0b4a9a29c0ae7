"""The token that a registry wants first: against Debian's registry, and against servers that would abuse it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from hoshikage.core.errors import AddressRefused, DownloadFailed
from hoshikage.plugins.ollama_registry.manifest import LAYER_PREFIX
from tests.file_server import FileServer, Served
from tests.oci_registry import OciRegistry, free_port
from tests.plugins.ollama_registry.test_downloader import SHA256, WEIGHTS, ignore, play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hoshikage.plugins.ollama_registry.downloader import RegistryDownloader
    from tests.file_server import Asked

    Build = Callable[..., RegistryDownloader]

SERVICE, ISSUER = "registry.test", "issuer.test"
CHALLENGED = "/v2/team/tiny/manifests/latest"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Signer:
    """Signs the tokens that a registry trusts."""

    folder: Path

    def __post_init__(self) -> None:
        names = ["-subj", "/CN=issuer", "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
        subprocess.run(command, check=True, capture_output=True)

    def token(self, name: str, *actions: str, valid_s: float = 300.0) -> str:
        pem = (self.folder / "cert.pem").read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem[1:-1])]}
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": "",
            "aud": SERVICE,
            "nbf": now - 60,
            "exp": int(now + valid_s),
            "access": [{"type": "repository", "name": name, "actions": list(actions)}],
        }
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        command = ["openssl", "dgst", "-sha256", "-sign", self.folder / "key.pem"]
        signature = subprocess.run(command, input=signed.encode(), capture_output=True, check=True).stdout
        return f"{signed}.{b64(signature)}"


@pytest.fixture
def other() -> Iterator[FileServer]:
    """The host that gives tokens."""
    with FileServer().serving() as server:
        yield server


async def test_a_real_registry_gets_the_token_that_it_asks_for(
    tmp_path: Path, other: FileServer, downloader_for: Build
):
    """The handshake of the OCI distribution: 401, a token for this repository, and in."""
    signer = Signer(tmp_path)
    auth = {
        "token": {
            "realm": f"{other.url}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(tmp_path / "cert.pem"),
        }
    }
    other.pages["/token"] = lambda asked: Served(json.dumps({"token": signer.token("team/tiny", "pull")}).encode())
    with OciRegistry(tmp_path, free_port(), auth).running() as registry:
        push = signer.token("team/tiny", "pull", "push")
        registry.push("team/tiny", [("model", WEIGHTS)], Authorization=f"Bearer {push}")

        found = await downloader_for(registry.host, other.host).download("team/tiny", ignore, insecure=True)

    assert found.file.read_bytes() == WEIGHTS
    assert [parse_qs(a.query) for a in other.asked] == [{"scope": ["repository:team/tiny:pull"], "service": [SERVICE]}]
    assert other.asked[0].headers["Authorization"] is None


def challenge(
    server: FileServer,
    realm: str,
    valid: Callable[[str], bool] = lambda token: token == "Bearer t1",
    **manifest: object,
) -> None:
    """Let the server want a token for everything that it has."""
    play(server, **manifest)
    wanted = Served(
        b"", 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:team/tiny:pull"'}
    )

    def behind(page: Served) -> Callable[[Asked], Served]:
        return lambda asked: page if valid(asked.headers.get("Authorization", "")) else wanted

    for path, page in list(server.pages.items()):
        assert isinstance(page, Served)
        server.pages[path] = behind(page)


async def test_the_token_stays_with_the_registry(server: FileServer, other: FileServer, downloader_for: Build):
    """A blob that lies elsewhere is fetched there without the token."""
    challenge(server, f"{server.url}/token")
    server.pages["/token"] = Served(b'{"access_token": "t1"}')
    server.pages[f"/v2/team/tiny/blobs/sha256:{SHA256}"] = Served(b"", 307, {"Location": f"{other.url}/store"})
    other.pages["/store"] = Served(WEIGHTS)

    await downloader_for(server.host, other.host).download("team/tiny", ignore, insecure=True)

    assert server.asked[-1].headers["Authorization"] == "Bearer t1"
    assert [a.headers["Authorization"] for a in other.asked] == [None]


async def test_an_expired_token_is_replaced(server: FileServer, downloader_for: Build):
    """A transfer longer than its token goes on with a new one, from where it was."""
    tokens = ["t1", "t2"]
    valid = {"Bearer t1"}
    challenge(server, f"{server.url}/token", lambda token: token in valid)

    def expiring(asked: Asked) -> Served:
        valid.clear()
        valid.add("Bearer t2")
        return Served(WEIGHTS, cut_after=[1_000_000])

    path = f"/v2/team/tiny/blobs/sha256:{SHA256}"
    behind = server.pages[path]
    server.pages[path] = lambda asked: expiring(asked) if "Bearer t1" in valid else behind(asked)
    server.pages["/token"] = lambda asked: Served(json.dumps({"token": tokens.pop(0)}).encode())

    found = await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert found.file.read_bytes() == WEIGHTS
    assert server.sent[path] == len(WEIGHTS)


async def test_a_token_that_expires_between_small_answers_is_replaced(server: FileServer, downloader_for: Build):
    """A token that lasts for one request is asked for as often as it takes."""
    text = b"be kind"
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    given: list[str] = []
    weights = {"mediaType": f"{LAYER_PREFIX}model", "digest": f"sha256:{SHA256}", "size": len(WEIGHTS)}
    system = {"mediaType": f"{LAYER_PREFIX}system", "digest": digest, "size": len(text)}
    server.pages[f"/v2/team/tiny/blobs/{digest}"] = Served(text)

    def once(token: str) -> bool:
        return bool(given) and token == f"Bearer {given.pop()}"

    challenge(server, f"{server.url}/token", once, layers=[weights, system])
    numbers = itertools.count()

    def give(_: Asked) -> Served:
        given.append(f"t{next(numbers)}")
        return Served(json.dumps({"token": given[-1]}).encode())

    server.pages["/token"] = give

    found = await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert found.system == "be kind"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "wants a password"),
        ('Basic realm="x"', "wants a password"),
        ("Bearer", "wants a password"),
        ('Bearer realm=""', "wants a password"),
        ("Bearer realm=,,=", "wants a password"),
        ('Bearer realm="http://[::1"', "no address"),
    ],
)
async def test_what_is_no_challenge_is_an_error(server: FileServer, downloader_for: Build, header: str, words: str):
    """A registry that wants a password, or talks nonsense, is named."""
    server.pages[CHALLENGED] = Served(b"", 401, {"WWW-Authenticate": header} if header else {})

    with pytest.raises(DownloadFailed, match=words):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


@pytest.mark.parametrize("realm", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://127.0.0.1:1/"])
async def test_a_realm_inside_is_refused(server: FileServer, downloader_for: Build, realm: str):
    """The address for tokens is one that another server names, so it is checked as any."""
    challenge(server, realm)

    with pytest.raises(AddressRefused):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


@pytest.mark.parametrize(
    "answer",
    [Served(b"", 403), Served(b"{}"), Served(b"[]"), Served(b'{"token": "a\\nX-Evil: 1"}'), Served(b'{"token": 1}')],
)
async def test_no_token_is_an_error(server: FileServer, downloader_for: Build, answer: Served):
    """Without a token, or with one that would break the header, nothing is asked for."""
    challenge(server, f"{server.url}/token")
    server.pages["/token"] = answer

    with pytest.raises(DownloadFailed, match="gives no token"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)


async def test_a_token_that_does_not_help_ends(server: FileServer, downloader_for: Build):
    """A registry that says 401 for ever is asked a bounded number of times."""
    challenge(server, f"{server.url}/token", lambda token: False)
    server.pages["/token"] = Served(b'{"token": "t1"}')

    with pytest.raises(DownloadFailed, match="does not let everybody"):
        await downloader_for(server.host).download("team/tiny", ignore, insecure=True)

    assert len(server.asked) < 10
