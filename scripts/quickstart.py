"""First light: register the small model, serve it, ask one question over HTTP, and keep serving.

Usage: quickstart.py MODEL_FILE [--once]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from hoshikage.core.cli.start import server_url
from hoshikage.core.errors import HoshikageError
from hoshikage.core.kernel import Assembly, assemble

NAME = "smollm2"
QUESTION = "What is the capital of Japan? Answer in one sentence."
START_LIMIT_S = 60
STOP_LIMIT_S = 60
HOSHIKAGE = [sys.executable, "-m", "hoshikage"]


def main() -> int:
    """Run the whole tour. With `--once`, the exit status is 0 only if an answer came."""
    file, once = Path(sys.argv[1]), "--once" in sys.argv[2:]
    here = assemble()
    url = server_url(here.settings, None)
    if not register(here, file):
        return 1
    # One line per request would run through the answer; `hoshikage serve` shows them.
    server = subprocess.Popen([*HOSHIKAGE, "serve"], env={"HOSHIKAGE_LOG__LEVEL": "warning", **os.environ})
    # Ctrl-C reaches the server by itself, as it is in the same foreground group; it drains and ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if not wait_until_up(server, url):
            return 1
        answered = ask(url)
        if once:
            return 0 if answered else 1
        print(f"\nserving at {url} until Ctrl-C; OpenAI clients: {url}/v1, Ollama clients: OLLAMA_HOST={url}")
        return server.wait()
    finally:
        server.terminate()
        server.wait(STOP_LIMIT_S)


def register(here: Assembly, file: Path) -> bool:
    """Give the file its name, if it does not have it yet."""
    if NAME in here.registry.entries():
        return True
    return subprocess.run([*HOSHIKAGE, "add", str(file), NAME], check=False).returncode == 0


def wait_until_up(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers; it may end instead."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return True
        except httpx.HTTPError:
            time.sleep(0.05)
    print("error: the server did not come up", file=sys.stderr)
    return False


def ask(url: str) -> bool:
    """Ask the question over the server's own API and print the answer as it comes."""
    print(f"\nasking {NAME}: {QUESTION}\n", flush=True)
    body = {"model": NAME, "stream": True, "temperature": 0, "messages": [{"role": "user", "content": QUESTION}]}
    answer = ""
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=300, trust_env=False) as response:
        if response.status_code != 200:
            print(f"error: status {response.status_code}: {response.read().decode()}", file=sys.stderr)
            return False
        for line in response.iter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    print(f"error: {event['error']['message']}", file=sys.stderr)
                    return False
                piece = event["choices"][0]["delta"].get("content", "")
                answer += piece
                print(piece, end="", flush=True)
    print(flush=True)
    return bool(answer.strip())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HoshikageError as error:
        sys.exit(f"error: {error.message}")
