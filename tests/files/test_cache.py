"""What is kept from run to run: found again, or made again, whatever has become of its folder."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import CrispmapWarning, OutputError
from crispmap.files import atomic
from crispmap.files.cache import VARIABLE, Cache, cache_folder, user_cache

KEY = {"what": "a test", "number": 1}
TOLD = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.booleans()), max_size=3)


@given(key=TOLD, other=TOLD, content=st.binary(max_size=99))
@settings(max_examples=40)
def test_what_is_put_is_found_under_an_equal_key_alone(tmp_path_factory, key, other, content) -> None:
    kept = Cache(tmp_path_factory.mktemp("kept"))
    assert kept.get(key) is None
    kept.put(key, content)
    assert kept.get(dict(reversed(key.items()))) == content
    same = json.dumps(other, sort_keys=True) == json.dumps(key, sort_keys=True)
    assert kept.get(other) == (content if same else None)


@given(
    place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), kind=st.sampled_from(["byte", "cut", "more"])
)
@settings(max_examples=60)
def test_any_damage_is_seen_told_and_mended(tmp_path_factory, place: float, change: int, kind: str) -> None:
    kept = Cache(tmp_path_factory.mktemp("kept"))
    kept.put(KEY, bytes(range(200)))
    (entry,) = kept.entries()
    found = bytearray(entry.path.read_bytes())
    at = int(place * len(found))
    if kind == "byte":
        found[at] ^= change
    entry.path.write_bytes({"byte": found, "cut": found[:at], "more": found + bytes([change])}[kind])
    with pytest.warns(CrispmapWarning, match="damaged"):
        assert kept.get(KEY) is None
    assert kept.entries() == []
    kept.put(KEY, b"again")
    assert kept.get(KEY) == b"again"


def test_of_more_than_the_limit_the_entries_used_least_recently_go(tmp_path: Path) -> None:
    kept = Cache(tmp_path, limit_bytes=4_000)
    for number in range(3):
        kept.put({"what": str(number)}, bytes(1_000))
    for age, number in enumerate((1, 0, 2)):  # 1 was used last
        (path,) = (one.path for one in kept.entries() if one.what == str(number))
        os.utime(path, (time.time() - 100 - age,) * 2)
    assert kept.get({"what": "2"}) is not None
    kept.put({"what": "3"}, bytes(1_000))
    assert [one.what for one in kept.entries()] == ["3", "2", "1"]
    kept.put({"what": "4"}, bytes(4_001))  # larger than the limit
    assert [one.what for one in kept.entries()] == ["3", "2", "1"]


def test_what_killed_processes_left_is_removed_in_time(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    old, young = (tmp_path / f".{'a' * 64}.kept.{name}.part" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * atomic.ABANDONED_S,) * 2)
    kept.put(KEY, b"")
    assert (old.exists(), young.exists()) == (False, True)
    kept.clear()
    assert list(tmp_path.iterdir()) == []


def test_clearing_leaves_files_of_others(tmp_path: Path) -> None:
    kept, other = Cache(tmp_path), tmp_path / "letter.txt"
    other.write_text("mine")
    kept.put(KEY, b"1")
    kept.clear()
    assert list(tmp_path.iterdir()) == [other]
    assert kept.get(KEY) is None


def test_an_entry_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Cache(tmp_path)
    kept.put(KEY, b"1")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError):
        kept.clear()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_in_a_full_or_read_only_folder_nothing_is_kept_and_a_warning_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    kept = Cache(tmp_path)
    kept.put(KEY, b"before")

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic.os, "fsync", refuse)
    with pytest.warns(CrispmapWarning, match=VARIABLE):
        kept.put({"what": "another"}, b"after")
    assert kept.get({"what": "another"}) is None
    assert kept.get(KEY) == b"before"
    assert len(list(tmp_path.iterdir())) == 1  # nothing half written


def test_a_file_in_the_place_of_the_folder_is_no_cache(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    kept = Cache(file)
    assert kept.get(KEY) is None
    assert kept.entries() == []
    with pytest.warns(CrispmapWarning, match="not kept") as told:
        kept.put(KEY, b"1")
    with pytest.warns(CrispmapWarning, match="not kept") as again:
        kept.put({"what": "another"}, b"1")
    assert len({str(one.message) for one in (*told, *again)}) == 1  # of the folder: what is equal is shown once
    kept.clear()
    assert file.exists()


def test_the_time_of_use_of_another_users_entry_may_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    kept = Cache(tmp_path)
    kept.put(KEY, b"1")
    monkeypatch.setattr(os, "utime", refuse)
    assert kept.get(KEY) == b"1"


WRITER = """
import sys
from pathlib import Path
from crispmap.files.cache import Cache
kept = Cache(Path(sys.argv[1]), limit_bytes=60_000)
for number in range(60):
    key = {"what": "shared", "number": number % 7}
    found = kept.get(key)
    assert found is None or found == bytes([number % 7]) * 9_000
    kept.put(key, bytes([number % 7]) * 9_000)
"""


def test_processes_that_write_at_once_read_whole_entries(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path / "new")]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True, check=False), range(2)))
    assert [(one.returncode, one.stderr) for one in runs] == [(0, "")] * 2
    assert sum(one.size_bytes for one in Cache(tmp_path / "new").entries()) <= 60_000


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HOME": "/home/me"}, "/home/me/.cache/crispmap"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "/scratch"}, "/scratch/crispmap"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "relative"}, "/home/me/.cache/crispmap"),  # as its specification says
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "/scratch", VARIABLE: "/other"}, "/other"),
        ({"HOME": "/home/me", VARIABLE: "~/other"}, "/home/me/other"),
        ({"HOME": "/home/me", VARIABLE: "~nobody-of-this-name/other"}, None),
        ({"HOME": "/home/me", VARIABLE: ""}, "/home/me/.cache/crispmap"),
        ({"HOME": "/home/me", VARIABLE: "off"}, None),
        ({"HOME": "/home/me", VARIABLE: "OFF "}, None),
    ],
)
def test_where_it_is(environment: dict[str, str], folder: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == (None if folder is None else Path(folder))


def test_turned_off_it_keeps_and_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "off")
    kept = user_cache()
    kept.put(KEY, b"1")
    assert kept.get(KEY) is None
    assert kept.entries() == []
    kept.clear()
