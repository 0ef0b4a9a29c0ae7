"""Which modules are loaded in the event loop's thread, where that holds up everybody."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = """
import asyncio, sys, threading
{imports}

class Spy:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            print(name)

async def main():
    await asyncio.to_thread(int)  # the pool of threads loads its own modules
    sys.meta_path.insert(0, Spy())
{body}

asyncio.run(main())
"""


def loaded_on_the_loop(imports: str, body: str, *arguments: str) -> str:
    """The names, a line each, that `body` loads there after `imports`, in a process of its own."""
    program = PROGRAM.format(imports=textwrap.dedent(imports), body=textwrap.indent(textwrap.dedent(body), "    "))
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
