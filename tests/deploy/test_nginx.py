"""The shipped Nginx configuration, in a real Nginx with TLS before a small upstream."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "hoshikage.conf"
START_TIMEOUT_S = 10.0
# How long the upstream waits for its last event to arrive before it gives up and sends the rest at once.
ARRIVAL_TIMEOUT_S = 3.0
EVENTS = 10
BURST = 40
UPLOAD_BYTES = 3 * 1024 * 1024

# Everything that Nginx would otherwise write to system folders.
WRAPPER = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/hoshikage.conf;
}}
"""


class Upstream(socketserver.ThreadingTCPServer):
    """Stands in for the server: `/stream` sends events, any other path echoes the request's head and size."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.port: int = self.server_address[1]
        self.sent: list[float] = []
        self.arrived = threading.Semaphore(0)

    @contextmanager
    def serving(self) -> Iterator[Upstream]:
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class Exchange(socketserver.StreamRequestHandler):
    """One request and its answer; the connection then closes."""

    server: Upstream

    def handle(self) -> None:
        path = self.rfile.readline().split()[1]
        headers = http.client.parse_headers(self.rfile)
        if path == b"/stream":
            self._stream()
        else:
            size = len(self.rfile.read(int(headers.get("Content-Length", 0))))
            self._answer(json.dumps({"headers": dict(headers.items()), "size": size}).encode())

    def _answer(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _stream(self) -> None:
        """Send each event only when the one before has arrived at the client, or after a timeout."""
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
            b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        patience_s = ARRIVAL_TIMEOUT_S
        for number in range(EVENTS):
            event = b"data: %d\n\n" % number
            self.server.sent.append(time.monotonic())
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            if not self.server.arrived.acquire(timeout=patience_s):
                patience_s = 0
        self.wfile.write(b"0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Site:
    """A copy of the shipped file, with ports, certificate and upstream of this test."""

    folder: Path
    certificate: Path
    upstream: Upstream
    tls_port: int
    plain_port: int
    nginx: str = field(repr=False)

    def write(self) -> None:
        key = self.certificate.with_suffix(".key")
        self.folder.joinpath("hoshikage.conf").write_text(
            substituted(
                SHIPPED.read_text(encoding="utf-8"),
                {
                    "/etc/nginx/certs/hoshikage.crt": str(self.certificate),
                    "/etc/nginx/certs/hoshikage.key": str(key),
                    "server 127.0.0.1:8000;": f"server 127.0.0.1:{self.upstream.port};",
                    "listen 443 ": f"listen 127.0.0.1:{self.tls_port} ",
                    "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                },
            ),
            encoding="utf-8",
        )
        self.folder.joinpath("nginx.conf").write_text(WRAPPER.format(folder=self.folder), encoding="utf-8")

    def command(self, *options: str) -> list[str]:
        # -e: else Nginx opens the system's error log before it reads any configuration.
        return [self.nginx, "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf", *options]

    @contextmanager
    def running(self) -> Iterator[httpx.Client]:
        process = subprocess.Popen(self.command())
        context = ssl.create_default_context(cafile=self.certificate)
        try:
            wait_for_port(self.tls_port, process)
            with httpx.Client(base_url=f"https://127.0.0.1:{self.tls_port}", verify=context, trust_env=False) as client:
                yield client
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


def substituted(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        assert text.count(old) == 1, f"the shipped file should hold {old!r} once"
        text = text.replace(old, new)
    return text


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    pytest.fail(f"Nginx does not listen on port {port}; exit status {process.poll()}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def require_program(name: str) -> str:
    """Find a program; where it is missing, skip on a developer's machine and fail in CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = f"{name} is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, its key beside it."""
    file = tmp_path_factory.mktemp("certs") / "site.crt"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(file.with_suffix(".key")), "-out", str(file)]
    subprocess.run(
        [
            require_program("openssl"),
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            *names,
            *files,
        ],
        check=True,
        capture_output=True,
    )
    return file


@pytest.fixture
def site(tmp_path: Path, certificate: Path) -> Iterator[Site]:
    nginx = require_program("nginx")
    tls_port, plain_port = free_ports(2)
    with Upstream().serving() as upstream:
        site = Site(tmp_path, certificate, upstream, tls_port, plain_port, nginx)
        site.write()
        yield site


def test_nginx_accepts_the_shipped_file(site: Site) -> None:
    """`nginx -t` finds no fault, and on versions before 1.25 not even a warning."""
    checked = subprocess.run(site.command("-t"), capture_output=True, text=True, check=False)
    faults = [line for line in checked.stderr.splitlines() if re.search(r"\[(warn|error|crit|alert|emerg)\]", line)]

    assert checked.returncode == 0, checked.stderr
    assert [line for line in faults if '"listen ... http2" directive is deprecated' not in line] == []


def test_events_pass_one_by_one(site: Site) -> None:
    """Each event of a stream reaches the client before the upstream sends the next one."""
    received: list[float] = []
    with site.running() as client, client.stream("GET", "/stream") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                received.append(time.monotonic())
                site.upstream.arrived.release()
    sent = site.upstream.sent

    assert EVENTS == len(sent) == len(received)
    assert [arrival < following for arrival, following in zip(received, sent[1:], strict=False)] == [True] * (
        EVENTS - 1
    )


def test_a_burst_is_refused_with_429(site: Site) -> None:
    """Of many requests at once the first pass, and the rest get 429 as a JSON error with `Retry-After`."""
    with site.running() as client:
        answers = [client.get("/") for _ in range(BURST)]
    refused = [answer for answer in answers if answer.status_code == 429]

    assert {200, 429} == {answer.status_code for answer in answers}
    assert answers[0].status_code == 200
    assert {"rate_limit_error"} == {answer.json()["error"]["type"] for answer in refused}
    assert {("1", "application/json", "nosniff")} == {
        (
            answer.headers["Retry-After"],
            answer.headers["Content-Type"],
            answer.headers["X-Content-Type-Options"],
        )
        for answer in refused
    }


def test_large_bodies_pass(site: Site) -> None:
    """A body of 3 MB, such as an image, reaches the upstream whole."""
    with site.running() as client:
        answer = client.post("/v1/chat/completions", content=b"x" * UPLOAD_BYTES)

    assert answer.status_code == 200
    assert answer.json()["size"] == UPLOAD_BYTES


def test_the_upstream_learns_who_called_and_how(site: Site) -> None:
    """The upstream sees a Host name it knows, and the caller's facts in headers that none can forge."""
    with site.running() as client:
        answer = client.get(
            "/", headers={"Host": "llm.example", "X-Forwarded-For": "192.0.2.1", "X-Request-Id": "mine-1"}
        )
    headers = answer.json()["headers"]

    assert {
        name: headers[name]
        for name in ("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Request-Id")
    } == {
        "Host": "localhost",
        "X-Forwarded-Host": "llm.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "127.0.0.1",
        "X-Request-Id": "mine-1",
    }


@pytest.mark.parametrize("given", ["", "two words", "x" * 129])
def test_unfit_request_ids_are_replaced(site: Site, given: str) -> None:
    """A request id that is missing or unfit for a log line is replaced by one that Nginx makes."""
    with site.running() as client:
        answer = client.get("/", headers={"X-Request-Id": given})

    assert re.fullmatch("[0-9a-f]{32}", answer.json()["headers"]["X-Request-Id"])


def test_answers_carry_security_headers(site: Site) -> None:
    """Every answer over TLS forbids framing, type guessing and a return to plain HTTP."""
    with site.running() as client:
        headers = client.get("/").headers

    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Retry-After" not in headers


def test_plain_http_is_sent_to_tls(site: Site) -> None:
    """Plain HTTP is redirected in a way that keeps the method of the request."""
    with site.running():
        answer = httpx.post(f"http://127.0.0.1:{site.plain_port}/api/chat?x=1", trust_env=False)

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://127.0.0.1/api/chat?x=1"
