"""Fetch a public file once, and know that it is the one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _logging as logg
from .._checks import checked
from .._files import require_file, require_folder
from ._public_files import PUBLIC_FILES, PublicFile

if TYPE_CHECKING:
    from os import PathLike

CACHE_VARIABLE = "SCLLMDA_DATA_DIR"
"""Environment variable with the folder of fetched files."""
CHUNK_SIZE = 2**16
"""Bytes that are written at a time, and at most lost when a download breaks off."""
WHOLE, BEYOND_THE_END = 200, 416
"""HTTP answers to a request for the rest of a file: all of it instead, and that there is no rest."""


@checked
def fetch(
    source: str,
    *,
    sha256: str | None = None,
    path: str | PathLike[str] | None = None,
    cache_dir: str | PathLike[str] | None = None,
) -> Path:
    """Fetch a public file once, resumably, check it by its SHA-256, and return where it lies.

    Without a network: fetch the file by any other way and give its ``path``, or take the folder of fetched files along
    from a machine where this was called.

    Parameters
    ----------
    source
        Address (``http://`` or ``https://``), or the name of a file whose address and checksum are known here:

        - ``"pbmc_500_fragments"``, ``"pbmc_5k_fragments"``: fragments of 500 and 5,000 human blood cells (PBMC, hg38;
          10x Genomics, Cell Ranger ATAC 2.0.0), for :func:`scllmda.pp.count_fragments`. They have no labels.
        - ``"hg38"``, ``"mm10"``: FASTA of GENCODE 41 and M25 (GRCh38 and GRCm38, primary assembly), for
          :func:`scllmda.pp.peak_sequences`.

        Their checksums are those that SnapATAC2 publishes for the same addresses. Labeled public references are not
        among them: each lab's own download has to be brought into shape first, so that no checksum could vouch for it.
    sha256
        Checksum of the file at an address, 64 hexadecimal digits, as the command ``sha256sum`` prints it.
    path
        File that was fetched by other means. It is checked and returned as it is, and nothing is downloaded.
    cache_dir
        Folder of fetched files. None: that of the environment variable ``SCLLMDA_DATA_DIR``, else the user's cache
        (``~/.cache/scllmda`` on Linux, ``~/Library/Caches/scllmda`` on macOS).

    Returns
    -------
    Path of the whole file, by the name that it has at its address, in a folder of the cache named by the checksum. If
    it is there already, no network is used. A download that broke off is kept beside it and goes on with the next call,
    if the server can (HTTP ranges); another process that wants the same file meanwhile waits.

    Raises
    ------
    ValueError
        No such name and no address; no checksum, or not one; a file that has another checksum. What was downloaded is
        removed then, a file of yours (``path``) is not touched.
    FileNotFoundError
        There is no file ``path``.
    OSError
        The download failed, or the folder cannot be written to.

    Examples
    --------
    A file that was fetched by hand is checked, and used where it lies:

    >>> import hashlib
    >>> import tempfile
    >>> from pathlib import Path
    >>> import scllmda as sl
    >>> mine = Path(tempfile.mkdtemp()) / "cells.h5ad"
    >>> _ = mine.write_bytes(b"cells")
    >>> sha256 = hashlib.sha256(b"cells").hexdigest()
    >>> sl.datasets.fetch("https://example.org/cells.h5ad", sha256=sha256, path=mine).name
    'cells.h5ad'
    """
    file = _public_file(source, sha256)
    if path is not None:
        path = Path(path).expanduser()
        require_file(path, f"the file of {file.url}")
        if (found := _sha256(path)) != file.sha256:
            msg = (
                f"{str(path)!r} has the SHA-256 {found}; expected {file.sha256}, that of {file.url}. It is another "
                "version, or incomplete: download it again, or pass sha256= of the version that you mean with its URL."
            )
            raise ValueError(msg)
        return path
    target = _cache(cache_dir) / file.sha256[:16] / _name(file.url)
    if target.is_file() and _sha256(target) == file.sha256:
        return target
    require_folder(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    with FileLock(target.with_name(f"{target.name}.lock")):
        if not target.is_file() or _sha256(target) != file.sha256:
            _download(file, target)
    return target


def _public_file(source: str, sha256: str | None) -> PublicFile:
    """Return the address and checksum that are meant."""
    if source in PUBLIC_FILES:
        if sha256 is not None and sha256.lower() != PUBLIC_FILES[source].sha256:
            msg = f"Found sha256={sha256!r}, but the file {source!r} is known by its own. Leave sha256= out."
            raise ValueError(msg)
        return PUBLIC_FILES[source]
    if not re.fullmatch(r"https?://[^/]+/.*[^/]", source):
        msg = (
            f"Found {source!r}; expected one of {list(PUBLIC_FILES)}, or the address of a file that begins with "
            "'https://'. A file on this machine needs no fetching: read it, with sl.io.read for example."
        )
        raise ValueError(msg)
    if sha256 is None or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        msg = (
            f"Found sha256={sha256!r}; expected the 64 hexadecimal digits of the SHA-256 of {source}. Take them from "
            "where the file is published, or from a copy that you trust, with the command sha256sum."
        )
        raise ValueError(msg)
    return PublicFile(source, sha256.lower())


def _cache(cache_dir: str | PathLike[str] | None) -> Path:
    from pooch import os_cache

    return Path(cache_dir or os.environ.get(CACHE_VARIABLE) or os_cache("scllmda")).expanduser()


def _name(url: str) -> str:
    """Return the name of the file at an address, without what a file system might not take."""
    return re.sub(r"[^\w.+-]", "_", url.partition("?")[0].rpartition("/")[2]) or "file"


def _sha256(path: Path) -> str:
    from pooch import file_hash

    return file_hash(str(path), alg="sha256")


def _download(file: PublicFile, target: Path) -> None:
    """Download to a file beside the target, from where an earlier call ended, and rename it if it is the right one."""
    partial = target.with_name(f"{target.name}.partial")
    start = logg.info(f"fetching {file.url}")
    # A process may have been killed after the last byte: then there is no rest to ask for.
    if not partial.is_file() or _sha256(partial) != file.sha256:
        try:
            _append_rest(file.url, partial)
        except OSError as error:
            kept = partial.stat().st_size if partial.is_file() else 0
            msg = (
                f"Could not fetch {file.url} ({error}). {kept} bytes are kept, and the same call goes on from there. "
                "Without a network, fetch the file on another machine and pass path= with where it lies."
            )
            raise OSError(msg) from error
    if (found := _sha256(partial)) != file.sha256:
        partial.unlink()
        msg = (
            f"{file.url} gave a file with the SHA-256 {found}; expected {file.sha256}. It was removed. The file has "
            "changed there, or an earlier part was damaged: call again, and if nothing changes pass the right sha256=."
        )
        raise ValueError(msg)
    partial.replace(target)
    logg.info("    finished", time=start, deep=f"wrote {str(target)!r}")


def _append_rest(url: str, partial: Path) -> None:
    """Append to a file what it lacks of the one at an address."""
    from pooch import HTTPDownloader

    with partial.open("ab") as stream:

        def begin_anew(response: Any, *_: Any, **__: Any) -> None:
            if response.status_code in (WHOLE, BEYOND_THE_END):
                stream.truncate(0)

        # The bytes as they are on the server's disk: a range of a compressed transfer would be one of other bytes.
        headers = {"Range": f"bytes={stream.tell()}-", "Accept-Encoding": "identity"}
        download = HTTPDownloader(
            progressbar=True, chunk_size=CHUNK_SIZE, headers=headers, hooks={"response": begin_anew}
        )
        download(url, stream, None)
