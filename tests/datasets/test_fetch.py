"""Fetching files from a server on this machine."""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import scllmda as sl
from scllmda.datasets._public_files import PUBLIC_FILES

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


class Server(ThreadingHTTPServer):
    """Serves one file; says what was asked for, and breaks off when told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.breaks_off_after: int | None = None
        self.knows_ranges = True
        self.content = CONTENT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/folder/cells.h5ad?version=1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        content = self.server.content
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if self.server.knows_ranges else 0  # type: ignore[index]
        if start >= len(content) or "absent" in self.path:
            self.send_error(404 if "absent" in self.path else 416)
            return
        rest = content[start:]
        self.send_response(206 if self.server.knows_ranges else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.breaks_off_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    first = sl.datasets.fetch(server.url, sha256=SHA256.upper(), cache_dir=tmp_path)
    assert first.read_bytes() == CONTENT
    assert first == tmp_path / SHA256[:16] / "cells.h5ad"
    assert server.asked == ["bytes=0-"]
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path) == first
    assert len(server.asked) == 1
    server.server_close()
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path) == first


def test_the_folder_is_that_of_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCLLMDA_DATA_DIR", str(tmp_path / "new"))
    assert (tmp_path / "new") in sl.datasets.fetch(server.url, sha256=SHA256).parents


def test_a_download_that_broke_off_goes_on(server: Server, tmp_path: Path) -> None:
    server.breaks_off_after = 200_000
    with pytest.raises(OSError, match=r"bytes are kept, and the same call goes on") as error:
        sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path)
    kept = int(re.search(r"(\d+) bytes are kept", str(error.value))[1])  # type: ignore[index]
    assert 200_000 - 2**16 < kept <= 200_000
    assert not (tmp_path / SHA256[:16] / "cells.h5ad").exists()
    server.breaks_off_after = None
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=0-", f"bytes={kept}-"]


@pytest.mark.parametrize("kept", [CONTENT[:1000], CONTENT[:1000] + b"x" * len(CONTENT)], ids=["a part", "too much"])
def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path, kept: bytes) -> None:
    partial = tmp_path / SHA256[:16] / "cells.h5ad.partial"
    partial.parent.mkdir()
    partial.write_bytes(kept)
    server.knows_ranges = False
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path).read_bytes() == CONTENT


def test_more_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / SHA256[:16] / "cells.h5ad.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * (len(CONTENT) + 1))
    with pytest.raises(OSError, match=r"0 bytes are kept"):
        sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path)
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path).read_bytes() == CONTENT


def test_what_was_whole_already_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / SHA256[:16] / "cells.h5ad.partial"
    partial.parent.mkdir()
    partial.write_bytes(CONTENT)
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_another_file_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{SHA256}; expected {OTHER}"):
        sl.datasets.fetch(server.url, sha256=OTHER, cache_dir=tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.suffix != ".lock"] == [OTHER[:16]]


def test_a_damaged_copy_is_fetched_again(server: Server, tmp_path: Path) -> None:
    target = sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path)
    target.write_bytes(CONTENT[:-1] + b"x")
    assert sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_an_absent_file_leaves_what_is_kept(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / SHA256[:16] / "absent.h5ad.partial"
    partial.parent.mkdir()
    partial.write_bytes(CONTENT[:1000])
    url = server.url.replace("cells", "absent")
    with pytest.raises(OSError, match=r"404.*1000 bytes are kept"):
        sl.datasets.fetch(url, sha256=SHA256, cache_dir=tmp_path)


def test_two_that_want_the_same_file_download_it_once(server: Server, tmp_path: Path) -> None:
    found: list[Path] = []
    both = [
        threading.Thread(target=lambda: found.append(sl.datasets.fetch(server.url, sha256=SHA256, cache_dir=tmp_path)))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(found) == 2
    assert len(server.asked) == 1


def test_a_file_fetched_by_hand_is_checked_and_used(tmp_path: Path) -> None:
    mine = tmp_path / "mine.h5ad"
    mine.write_bytes(CONTENT)
    url = "https://example.org/cells.h5ad"
    assert sl.datasets.fetch(url, sha256=SHA256, path=str(mine)) == mine
    with pytest.raises(ValueError, match=rf"has the SHA-256 {SHA256}; expected {OTHER}.*download it again"):
        sl.datasets.fetch(url, sha256=OTHER, path=mine)
    assert mine.read_bytes() == CONTENT
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5ad.*expected the file of https://example.org"):
        sl.datasets.fetch(url, sha256=SHA256, path=tmp_path / "nothing.h5ad")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.h5ad"}


@pytest.mark.parametrize(
    ("source", "sha256", "said"),
    [
        ("nothing", None, r"expected one of \['pbmc_500_fragments'.*sl\.io\.read"),
        ("cells.h5ad", SHA256, r"expected one of"),
        ("file:///cells.h5ad", SHA256, r"expected one of"),
        ("https://example.org/", SHA256, r"expected one of"),
        ("https://example.org/cells.h5ad", None, r"sha256=None; expected the 64 hexadecimal digits"),
        ("https://example.org/cells.h5ad", "md5:123", r"expected the 64 hexadecimal digits"),
        ("hg38", SHA256, r"Leave sha256= out"),
    ],
)
def test_what_cannot_be_fetched_is_said(source: str, sha256: str | None, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        sl.datasets.fetch(source, sha256=sha256, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_checksums_are_those_that_snapatac2_publishes() -> None:
    """It keeps them in a Python file up to version 2.9, in a YAML file from 2.10 on."""
    files = importlib.resources.files(pytest.importorskip("snapatac2")).iterdir()
    published = "".join(file.read_text() for file in files if file.name in {"datasets.py", "datasets.yaml"})
    assert not [name for name, file in PUBLIC_FILES.items() if file.sha256 not in published]


@pytest.mark.parametrize("name", PUBLIC_FILES)
def test_names_are_documented(name: str) -> None:
    assert f'``"{name}"``' in str(sl.datasets.fetch.__doc__)
