from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.errors import AddressRefused, DownloadFailed
from hoshikage.core.http import fetch
from hoshikage.core.http.addresses import AddressRules
from hoshikage.core.http.fetch import Fetcher, FetchLimits
from tests.file_server import FileServer, Served
from tests.loop_imports import loaded_on_the_loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are short here."""
    monkeypatch.setattr(fetch, "FIRST_PAUSE_S", 0.001)


SECRET = {"Authorization": "Bearer secret"}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().serving() as server:
        yield server


@pytest.fixture
def other() -> Iterator[FileServer]:
    """A second host."""
    with FileServer().serving() as server:
        yield server


def fetcher_for(*servers: FileServer, stall_s: float = 5.0) -> Fetcher:
    rules = AddressRules([s.host for s in servers], plain_http=True)
    return Fetcher(rules, FetchLimits(connect_s=5.0, stall_s=stall_s))


def redirect(url: str, status: int = 302) -> Served:
    return Served(b"", status, {"Location": url})


async def test_a_small_document_comes_whole(server: FileServer):
    """Status, headers and content are those of the server; nothing compressed is asked for."""
    server.pages["/x"] = Served(b"hello", headers={"X-Hint": "here"})

    async with fetcher_for(server) as fetcher:
        found = await fetcher.document(f"{server.url}/x", {"Accept": "text/plain"})

    assert (found.status, found.content, found.headers["x-hint"]) == (200, b"hello", "here")
    assert server.asked[0].headers["Accept-Encoding"] == "identity"
    assert server.asked[0].headers["Host"] == server.host


async def test_a_private_host_is_not_even_connected_to(server: FileServer):
    """Without permission no request leaves: the server hears nothing."""
    async with Fetcher(AddressRules(plain_http=True)) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.document(f"{server.url}/x")

    assert server.asked == []


async def test_a_redirect_to_a_private_host_is_refused(server: FileServer, other: FileServer):
    """The permission for one host does not reach the next: that one hears nothing."""
    server.pages["/x"] = redirect(f"{other.url}/inside")

    async with fetcher_for(server) as fetcher:
        with pytest.raises(AddressRefused, match=str(other.port)):
            await fetcher.document(f"{server.url}/x")

    assert other.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user:pw@{other}/x"])
async def test_a_redirect_out_of_http_is_refused(server: FileServer, other: FileServer, target: str):
    """Other schemes and smuggled credentials are refused at every hop."""
    server.pages["/x"] = redirect(target.replace("{other}", other.host))

    async with fetcher_for(server, other) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.document(f"{server.url}/x")

    assert other.asked == []


async def test_a_redirect_to_plain_http_needs_the_permission(server: FileServer):
    """From the first URL on, plain HTTP is refused without it."""
    async with Fetcher(AddressRules([server.host])) as fetcher:
        with pytest.raises(AddressRefused, match="--insecure"):
            await fetcher.document(f"{server.url}/x")

    assert server.asked == []


async def test_credentials_stay_with_their_host(server: FileServer, other: FileServer):
    """A redirect within the host keeps the token, one to another host drops it, cookies too."""
    server.pages["/x"] = redirect("/y")
    server.pages["/y"] = redirect(f"{other.url}/z", 307)
    other.pages["/z"] = Served(b"there")

    async with fetcher_for(server, other) as fetcher:
        found = await fetcher.document(f"{server.url}/x", {**SECRET, "Cookie": "id=1", "Accept": "a/b"})

    assert found.content == b"there"
    assert [a.headers["Authorization"] for a in server.asked] == ["Bearer secret"] * 2
    assert (other.asked[0].headers["Authorization"], other.asked[0].headers["Cookie"]) == (None, None)
    assert (other.asked[0].headers["Accept"], other.asked[0].headers["Host"]) == ("a/b", other.host)


async def test_cookies_are_not_kept(server: FileServer):
    """What a server wants remembered is forgotten."""
    server.pages["/x"] = Served(b"", headers={"Set-Cookie": "id=1"})

    async with fetcher_for(server) as fetcher:
        for _ in range(2):
            await fetcher.document(f"{server.url}/x")

    assert server.asked[1].headers["Cookie"] is None


async def test_a_name_is_looked_up_once_and_the_connection_goes_there(server: FileServer):
    """The address that was checked is the one that is called, under the name that was asked for (no rebinding)."""
    answers = [["127.0.0.1"], ["10.255.255.1"]]
    server.pages["/x"] = Served(b"here")

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    rules = AddressRules(["models.example"], plain_http=True)
    async with Fetcher(rules, find=rebinding) as fetcher:
        found = await fetcher.document(f"http://models.example:{server.port}/x")

    assert found.content == b"here"
    assert len(answers) == 1
    assert server.asked[0].headers["Host"] == f"models.example:{server.port}"


async def test_the_next_address_is_tried(server: FileServer):
    """Where nobody listens at the first address of a name, the second one answers."""
    server.pages["/x"] = Served(b"here")

    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    rules = AddressRules(["two.example"], plain_http=True)
    async with Fetcher(rules, find=two) as fetcher:
        assert (await fetcher.document(f"http://two.example:{server.port}/x")).content == b"here"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for models.example, its key with it."""
    folder = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=models.example", "-addext", "subjectAltName=DNS:models.example"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[tuple[FileServer, list[str | None]]]:
    """A server with that certificate, and the names that its clients ask for."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = FileServer()
    server.pages["/x"] = Served(b"here")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server.serving():
        yield server, asked


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_certificates_are_checked_against_the_name(
    tls_server: tuple[FileServer, list[str | None]], certificate: Path
):
    """The connection goes to an address, but the name is what TLS asks for and what the certificate must bear."""
    server, asked = tls_server
    tls = ssl.create_default_context(cafile=certificate)
    rules = AddressRules(["models.example", "other.example"])

    async with Fetcher(rules, find=loopback, tls=tls) as fetcher:
        found = await fetcher.document(f"https://models.example:{server.port}/x")
        with pytest.raises(DownloadFailed, match="no TLS connection"):
            await fetcher.document(f"https://other.example:{server.port}/x")

    assert found.content == b"here"
    assert asked == ["models.example", "other.example"]


async def test_unknown_certificates_are_refused(tls_server: tuple[FileServer, list[str | None]]):
    """Without a trusted issuer there is no connection, whatever is allowed besides."""
    server, _ = tls_server

    async with Fetcher(AddressRules(["models.example"], plain_http=True), find=loopback) as fetcher:
        with pytest.raises(DownloadFailed, match="certificate"):
            await fetcher.document(f"https://models.example:{server.port}/x")


async def test_a_redirect_from_https_to_http_is_refused(
    tls_server: tuple[FileServer, list[str | None]], server: FileServer, certificate: Path
):
    """Also where plain HTTP is allowed: what began with TLS never goes on without, and the other host hears nothing."""
    secure, _ = tls_server
    secure.pages["/x"] = redirect(f"{server.url}/y")
    rules = AddressRules(["models.example", server.host], plain_http=True)
    tls = ssl.create_default_context(cafile=certificate)

    async with Fetcher(rules, find=loopback, tls=tls) as fetcher:
        with pytest.raises(AddressRefused, match="plain HTTP at 127"):
            await fetcher.document(f"https://models.example:{secure.port}/x")

    assert [] == server.asked


@pytest.mark.parametrize("page", [Served(b"ok", statuses=[503, 429]), Served(b"ok", cut_after=[1, 0])])
async def test_a_server_in_trouble_is_asked_again(server: FileServer, page: Served):
    """What may pass does not end a pull: a busy server, a connection that breaks."""
    server.pages["/x"] = page

    async with fetcher_for(server) as fetcher:
        found = await fetcher.document(f"{server.url}/x")

    assert (200, b"ok", 3) == (found.status, found.content, len(server.asked))


async def test_lasting_trouble_is_the_answer(server: FileServer):
    """The tries are bounded; then the caller sees what the server says."""
    server.pages["/x"] = Served(b"", 503)

    async with fetcher_for(server) as fetcher:
        found = await fetcher.document(f"{server.url}/x")

    assert (503, fetch.DOCUMENT_TRIES) == (found.status, len(server.asked))


IMPORTS = """
from hoshikage.core.http.addresses import AddressRules
from hoshikage.core.http.fetch import Fetcher
"""
FIRST_DOWNLOAD = """
async with Fetcher(AddressRules([sys.argv[1]], plain_http=True)) as fetcher:
    await fetcher.document(f"http://{sys.argv[1]}/x")
"""


def test_no_module_is_loaded_on_the_loop(server: FileServer):
    """The first download in a server's life holds up nobody while httpx loads what it puts off."""
    server.pages["/x"] = Served(b"here")

    assert "" == loaded_on_the_loop(IMPORTS, FIRST_DOWNLOAD, server.host)


async def test_redirects_end(server: FileServer):
    """A circle of redirects is an error after a few."""
    server.pages["/x"] = redirect("/x")

    async with fetcher_for(server) as fetcher:
        with pytest.raises(DownloadFailed, match="redirects"):
            await fetcher.document(f"{server.url}/x")

    assert len(server.asked) < 20


async def test_a_document_has_a_limit(server: FileServer):
    """A server that sends without end where a small answer is due is cut off."""
    server.pages["/x"] = Served(b"x" * 1_000_000)

    async with fetcher_for(server) as fetcher:
        with pytest.raises(DownloadFailed, match="1000 bytes"):
            await fetcher.document(f"{server.url}/x", limit_bytes=1000)


async def test_a_server_that_stalls_is_given_up(server: FileServer):
    """After the limit without a byte the error says so."""
    server.pages["/x"] = Served(b"x" * 1000, hold_after=10)

    async with fetcher_for(server, stall_s=0.2) as fetcher:
        with pytest.raises(DownloadFailed, match="sends nothing"):
            await fetcher.document(f"{server.url}/x")


async def test_a_closed_port_is_one_error(server: FileServer):
    """Where nobody listens, the error names the host."""
    server.server_close()

    async with fetcher_for(server) as fetcher:
        with pytest.raises(DownloadFailed, match=server.host):
            await fetcher.document(f"{server.url}/x")


async def test_an_answer_that_breaks_off_is_an_error(server: FileServer):
    """Half a document is none."""
    server.pages["/x"] = Served(b"x" * 1000, cut_after=[10] * fetch.DOCUMENT_TRIES)

    async with fetcher_for(server) as fetcher:
        with pytest.raises(DownloadFailed):
            await fetcher.document(f"{server.url}/x")


@pytest.mark.parametrize("url", ["http://[::1", "http://x:99999999/", "http:///nohost"])
async def test_what_is_no_url_is_an_error(url: str):
    """Nonsense from a server's answer never raises anything else."""
    async with Fetcher(AddressRules(plain_http=True)) as fetcher:
        with pytest.raises((AddressRefused, DownloadFailed)):
            await fetcher.document(url)
