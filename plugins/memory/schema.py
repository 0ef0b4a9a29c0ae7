"""The tables of the store of record, and the steps from older versions of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import MemoryUnavailable
from hoshikage.plugins.memory.text import RULES

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

VERSION: Final = 4
FIRST: Final = """
CREATE TABLE space (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  owner TEXT NOT NULL UNIQUE,
  deletions INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE memory (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  space INTEGER NOT NULL REFERENCES space (number),
  session TEXT NOT NULL,
  said_at REAL NOT NULL,
  role TEXT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  hash BLOB NOT NULL,
  request TEXT NOT NULL,
  length INTEGER NOT NULL,
  superseded_by TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX memory_once ON memory (space, session, hash);
CREATE INDEX memory_in_time ON memory (space, said_at);
CREATE INDEX memory_lengths ON memory (space, length);
CREATE INDEX memory_in_session ON memory (space, session, number);
CREATE TABLE embedder (
  number INTEGER PRIMARY KEY,
  identity TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE vector (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  space INTEGER NOT NULL REFERENCES space (number),
  embedder INTEGER NOT NULL REFERENCES embedder (number),
  memory INTEGER NOT NULL REFERENCES memory (number) ON DELETE CASCADE,
  numbers BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX vector_once ON vector (memory, embedder);
CREATE INDEX vector_of_space ON vector (space, embedder, number);
CREATE VIRTUAL TABLE term USING fts5 (terms, content='', contentless_delete=1, tokenize='ascii');
CREATE VIRTUAL TABLE term_count USING fts5vocab ('term', 'row');
INSERT INTO term (term, rank) VALUES ('secure-delete', 1);
"""
# From each version to the next; a new file takes all steps too, so that there is one way to every version.
STEPS: Final = {
    1: """
CREATE TABLE claim (
  number INTEGER PRIMARY KEY,
  space INTEGER NOT NULL REFERENCES space (number),
  memory INTEGER NOT NULL REFERENCES memory (number) ON DELETE CASCADE,
  slot TEXT NOT NULL,
  value TEXT NOT NULL,
  holds INTEGER NOT NULL,
  changes INTEGER NOT NULL,
  careful INTEGER NOT NULL,
  whole INTEGER NOT NULL,
  newer INTEGER
) STRICT;
CREATE INDEX claim_of_memory ON claim (memory);
CREATE INDEX claim_in_slot ON claim (space, slot);
CREATE TABLE digest_source (
  source INTEGER PRIMARY KEY REFERENCES memory (number) ON DELETE CASCADE,
  digest INTEGER
) STRICT;
CREATE INDEX digest_sources ON digest_source (digest);
CREATE TABLE progress (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL
) STRICT;
""",
    2: """
CREATE TABLE ending (
  space INTEGER NOT NULL REFERENCES space (number),
  memory INTEGER NOT NULL REFERENCES memory (number) ON DELETE CASCADE,
  name TEXT NOT NULL,
  PRIMARY KEY (space, memory, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX ending_of_memory ON ending (memory);
""",
    # With `contentless_delete`, a deletion costs a merge of the whole index, and thousands of them make it corrupt.
    3: """
DROP TABLE term_count;
DROP TABLE term;
CREATE VIRTUAL TABLE term USING fts5 (terms, content='', tokenize='ascii');
CREATE VIRTUAL TABLE term_count USING fts5vocab ('term', 'row');
INSERT INTO term (term, rank) VALUES ('secure-delete', 1);
DELETE FROM progress WHERE name IN ('terms', 'merges');
CREATE TABLE IF NOT EXISTS imported (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS store (identity TEXT NOT NULL) STRICT;
INSERT INTO store SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM store);
CREATE TABLE IF NOT EXISTS vector_index (
  space INTEGER NOT NULL,
  embedder INTEGER NOT NULL,
  deletions INTEGER NOT NULL,
  newest INTEGER NOT NULL,
  count INTEGER NOT NULL,
  collection TEXT NOT NULL UNIQUE,
  strays TEXT NOT NULL,
  sample TEXT NOT NULL,
  seal TEXT NOT NULL,
  PRIMARY KEY (space, embedder)
) STRICT;
""",
}


def prepare(connection: apsw.Connection, file: Path) -> None:
    """Bring the tables of a file to this version, within the transaction of the caller.

    Raises:
        MemoryUnavailable: the file is of a newer version.
    """
    version = int(connection.pragma("user_version"))
    if version > VERSION:
        raise MemoryUnavailable(
            f"{file} is of version {version}, and this server knows {VERSION}; update it, or restore a backup"
        )
    if version == VERSION:
        return  # whoever only opens a file writes nothing: it may be damaged, which nobody knows yet
    is_new = version == 0
    if is_new:
        connection.execute(FIRST)
        version = 1
    for step in range(version, VERSION):
        connection.execute(STEPS[step])
    if is_new:  # nothing in it was read by other rules
        connection.execute("INSERT INTO progress (name, number) VALUES ('terms', ?)", (RULES,))
    connection.pragma("user_version", VERSION)
