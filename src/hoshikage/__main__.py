"""Run the command line: `python -m hoshikage`."""

from __future__ import annotations

from hoshikage.core.cli import main

if __name__ == "__main__":
    main()
