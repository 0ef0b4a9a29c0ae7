"""Digests, and the cache that spares reading a file twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading

import pytest
from structlog.testing import capture_logs

from hoshikage.core.errors import ModelFileError
from hoshikage.core.gguf import DigestCache, sha256_of

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DIGEST = "ab" * 32
JOIN_LIMIT_S = 30.0


@pytest.fixture
def cache_file(tmp_path):
    """Where the cache lies; the folder does not exist yet."""
    return tmp_path / "data" / "digests.json"


@pytest.fixture
def cache(cache_file):
    """An empty cache."""
    return DigestCache(cache_file)


# --- sha256_of ---


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 1000])
def test_digest_is_that_of_the_content(file_of, size):
    """Whatever the size is to the chunk's, the digest is the content's SHA-256."""
    content = os.urandom(size)

    assert hashlib.sha256(content).hexdigest() == sha256_of(file_of(content), chunk_bytes=10)


def test_progress_hears_the_bytes_read(file_of):
    """Progress gets the bytes read so far after each chunk."""
    heard: list[int] = []
    sha256_of(file_of(bytes(25)), progress=heard.append, chunk_bytes=10)

    assert [10, 20, 25] == heard


def test_file_that_grows_meanwhile_is_refused(file_of):
    """A file that is still being written has no digest yet."""
    file = file_of(bytes(25))

    def grow(done: int) -> None:
        if done == 10:
            with file.open("ab") as stream:
                stream.write(b"more")

    with pytest.raises(ModelFileError, match="changed while it was read"):
        sha256_of(file, progress=grow, chunk_bytes=10)


def test_missing_file_has_no_digest(tmp_path):
    """A missing file and a directory are refused in one line."""
    for file in (tmp_path / "gone", tmp_path):
        with pytest.raises(ModelFileError):
            sha256_of(file)


@pytest.mark.model
def test_digest_of_smollm2(smollm2_path):
    """A real model has the digest that its publisher states."""
    assert sha256_of(smollm2_path) == SMOLLM2_SHA256


# --- DigestCache ---


def test_unknown_file_has_no_cached_digest(cache, file_of, tmp_path):
    """A file that was never put, or does not exist, has no digest."""
    assert [None, None] == [cache.get(file_of(b"x")), cache.get(tmp_path / "gone")]


def test_digest_outlives_the_process(cache, cache_file, file_of):
    """What was put is found again, by another cache on the same file too."""
    file = file_of(b"x")
    cache.put(file, DIGEST)

    assert [DIGEST, DIGEST] == [cache.get(file), DigestCache(cache_file).get(file)]


def test_cache_file_is_json_by_absolute_path(cache, cache_file, file_of):
    """The file holds size, time and digest by absolute path."""
    file = file_of(b"x")
    cache.put(file, DIGEST)

    expected = {str(file): {"size_bytes": 1, "mtime_ns": file.stat().st_mtime_ns, "sha256": DIGEST}}
    assert expected == json.loads(cache_file.read_bytes())


def test_relative_and_absolute_paths_are_one_file(cache, file_of, monkeypatch):
    """A relative path finds what was put under the absolute one."""
    file = file_of(b"x")
    cache.put(file, DIGEST)
    monkeypatch.chdir(file.parent)

    assert cache.get(file.relative_to(file.parent)) == DIGEST


def test_link_is_the_file_that_it_leads_to(cache, file_of, tmp_path):
    """What is known of a blob is known of a link to it, and the other way round."""
    file, link = file_of(b"x"), tmp_path / "link"
    link.symlink_to(file)
    cache.put(link, DIGEST)

    assert [DIGEST, DIGEST] == [cache.get(file), cache.get(link)]


def test_file_that_takes_the_name_meanwhile_gets_no_digest(cache, tmp_path):
    """A file that is replaced just after it was read is another one, which nobody has read."""
    file, other = tmp_path / "m.gguf", tmp_path / "other"
    file.write_bytes(b"abc")
    other.write_bytes(b"another")

    cache.read_model(file, progress=lambda _: other.exists() and other.replace(file))

    assert cache.get(file) is None


def test_changed_size_forgets_the_digest(cache, file_of):
    """A file of another size is another file, even with the old time."""
    file = file_of(b"x")
    cache.put(file, DIGEST)
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(b"xy")
    os.utime(file, ns=times)

    assert cache.get(file) is None


def test_changed_time_forgets_the_digest(cache, file_of):
    """A file written again is another file, even with the same size."""
    file = file_of(b"x")
    cache.put(file, DIGEST)
    os.utime(file, ns=(1, 1))

    assert cache.get(file) is None


def test_deleted_file_has_no_digest(cache, file_of):
    """A file that is gone has no digest, although it was put."""
    file = file_of(b"x")
    cache.put(file, DIGEST)
    file.unlink()

    assert cache.get(file) is None


def two_parts(folder):
    """The files of a model in two parts of 3 and 5 bytes."""
    files = (folder / "m-00001-of-00002.gguf", folder / "m-00002-of-00002.gguf")
    files[0].write_bytes(b"abc")
    files[1].write_bytes(b"defgh")
    return files


def test_digest_of_a_whole_model_is_its_files(cache, file_of):
    """A model that is not split has the digest of its content, read once."""
    file = file_of(b"x")
    found = [cache.model(file), cache.read_model(file), cache.model(file)]

    digest = hashlib.sha256(b"x").hexdigest()
    assert [None, digest, digest] == found


def test_digest_of_a_split_model_is_over_its_parts_digests(cache, tmp_path):
    """What `sha256sum m-*-of-*.gguf | cut -c-64 | sha256sum` says is the model's digest."""
    files = two_parts(tmp_path)
    found = cache.read_model(files[0])

    lines = b"".join(hashlib.sha256(f.read_bytes()).hexdigest().encode() + b"\n" for f in files)
    assert hashlib.sha256(lines).hexdigest() == found == cache.model(files[0])
    assert cache.get(files[1]) == hashlib.sha256(b"defgh").hexdigest()


def test_changed_part_forgets_the_models_digest(cache, tmp_path):
    """A model whose second part changed has no known digest; only that part is read again."""
    files = two_parts(tmp_path)
    before = cache.read_model(files[0])
    files[1].write_bytes(b"other")
    heard: list[int] = []

    assert cache.model(files[0]) is None
    assert before != cache.read_model(files[0], progress=heard.append)
    assert [3 + 5] == heard


def test_split_model_without_a_part_has_no_digest(cache, tmp_path):
    """The part that is missing is named."""
    files = two_parts(tmp_path)
    files[1].unlink()

    with pytest.raises(ModelFileError, match=f"^{files[1]} does not exist"):
        cache.read_model(files[0])
    assert cache.model(files[0]) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"/a": 1}',
        b'{"/a": {"size_bytes": "1", "mtime_ns": 1, "sha256": "%s"}}' % DIGEST.encode(),
        b'{"/a": {"size_bytes": 1, "mtime_ns": 1, "sha256": "../../etc"}}',
    ],
    ids=["empty", "cut", "list", "bytes", "deep", "number", "wrong type", "no digest"],
)
def test_corrupt_cache_is_empty_with_one_warning(cache, cache_file, file_of, content):
    """A corrupt cache file is said once in the log, counts as empty and is replaced at the next put."""
    cache_file.parent.mkdir()
    cache_file.write_bytes(content)
    file = file_of(b"x")
    with capture_logs() as logs:
        found = [cache.get(file), cache.get(file)]
    cache.put(file, DIGEST)

    assert [None, None] == found
    assert [("digest_cache_corrupt", "warning")] == [(entry["event"], entry["log_level"]) for entry in logs]
    assert DigestCache(cache_file).get(file) == DIGEST


def test_unwritable_cache_is_only_a_warning(tmp_path, file_of):
    """Where the cache cannot be written or read, work goes on without it."""
    (tmp_path / "data").write_bytes(b"a file where the folder should be")
    cache = DigestCache(tmp_path / "data" / "digests.json")
    file = file_of(b"x")
    with capture_logs() as logs:
        cache.put(file, DIGEST)

        assert cache.get(file) is None
    assert {"digest_not_cached", "digest_cache_unreadable"} == {entry["event"] for entry in logs}


def test_path_that_is_no_utf8_is_cached(cache, cache_file, tmp_path):
    """File names are bytes on Linux, and any of them can be remembered."""
    file = tmp_path / os.fsdecode(b"\xff.gguf")
    file.write_bytes(b"x")
    cache.put(file, DIGEST)

    assert DigestCache(cache_file).get(file) == DIGEST


def test_puts_at_the_same_time_lose_nothing(cache_file, tmp_path):
    """Many writers, each with a cache object of its own, end with every digest in the file."""
    files = [tmp_path / f"{number}.gguf" for number in range(12)]
    for file in files:
        file.write_bytes(b"x")
    threads = [threading.Thread(target=DigestCache(cache_file).put, args=(file, DIGEST)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_LIMIT_S)

    assert [DIGEST] * 12 == [DigestCache(cache_file).get(file) for file in files]
    assert [] == list(cache_file.parent.glob("*.tmp"))
