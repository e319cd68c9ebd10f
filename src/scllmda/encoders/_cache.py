"""Vectors on disk, so that no sequence is encoded twice.

One folder per encoder, as told by its name, revision and number of dimensions, holds shards: files that are never
changed once they are there. A shard holds n keys and the n vectors of length d that belong to them, little-endian::

    b"scllmda1" | n: uint64 | d: uint64 | n keys of 16 bytes | n × d float32 | BLAKE2b (32 bytes) of all before

The key of a sequence is the 16-byte BLAKE2b of its upper-case letters. A shard is named after its keys, written under
a temporary name and renamed when it is safely on disk: it is there as a whole or not at all, and any number of
processes can share a folder without a lock. At worst two of them do the same work. No vector leaves a shard whose
checksum does not hold.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from .. import _logging as logg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

    from numpy.typing import NDArray

    from ._protocol import PeakEncoder

_MAGIC = b"scllmda1"
_HEADER = Struct("<8sQQ")
_KEY_BYTES = 16
KEY_DTYPE = f"S{_KEY_BYTES}"
_CHECKSUM_BYTES = 32
_STALE_SECONDS = 24 * 3600
"""A temporary file of this age is what a killed process left: writing a shard takes seconds."""


def sequence_keys(sequences: Iterable[str]) -> NDArray[np.bytes_]:
    """Return the key of each sequence, (n,) of 16 bytes.

    Parameters
    ----------
    sequences
        In upper case.
    """
    digests = (blake2b(sequence.encode(), digest_size=_KEY_BYTES).digest() for sequence in sequences)
    return np.frombuffer(b"".join(digests), dtype=KEY_DTYPE)


class VectorCache:
    """The vectors of one encoder in a folder.

    Parameters
    ----------
    cache_dir
        Folder for the vectors of all encoders, made if it is not there.
    encoder
        Whose vectors: another name, revision or number of dimensions means another sub-folder.

    Attributes
    ----------
    folder
        The encoder's sub-folder.

    Raises
    ------
    OSError
        Nothing can be written to the folder.
    """

    def __init__(self, cache_dir: str | PathLike[str], encoder: PeakEncoder) -> None:
        self._n_dims = int(encoder.n_dims)
        identity = json.dumps([encoder.name, encoder.revision, self._n_dims])
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", encoder.name)[:64]
        digest = blake2b(identity.encode(), digest_size=_KEY_BYTES).hexdigest()
        self.folder = Path(cache_dir).expanduser() / f"{readable}-{digest}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            probe = self._temporary()
            probe.touch()
            probe.unlink()
        except OSError as error:
            msg = (
                f"Cannot write to cache_dir={str(cache_dir)!r} ({error.strerror}); expected a folder, there or to be "
                "made, that can be written to. Pass cache_dir= another one, or leave it out to go without a cache."
            )
            raise OSError(error.errno, msg) from error

    def read(self, keys: NDArray[np.bytes_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield, shard by shard, which keys were found, (m,) places in ``keys``, and their vectors, (m, d).

        Each key is found at most once. A shard that is damaged is moved aside with a warning and not used.

        Parameters
        ----------
        keys
            Sorted and distinct, (n,).
        """
        found = np.zeros(len(keys), dtype=bool)
        for path in sorted(self.folder.glob("*.shard")) if len(keys) else ():
            try:
                stored = self._read_keys(path)
                places = np.minimum(np.searchsorted(keys, stored), len(keys) - 1)
                wanted = (keys[places] == stored) & ~found[places]
                if not wanted.any():
                    continue
                vectors = self._read_vectors(path, len(stored))[wanted]
            except FileNotFoundError:  # moved aside by another process
                continue
            except _DamagedShard as damage:
                aside = path.with_suffix(".corrupt")
                logg.warning(f"The cached vectors of {path} are damaged ({damage}); moved to {aside.name}, not used.")
                with suppress(FileNotFoundError):
                    path.replace(aside)
                continue
            found[places[wanted]] = True
            yield places[wanted], vectors

    def write(self, keys: NDArray[np.bytes_], vectors: NDArray[np.float32]) -> None:
        """Write one shard, whole or not at all.

        Parameters
        ----------
        keys
            Distinct, (n,).
        vectors
            (n, d).

        Raises
        ------
        OSError
            The disk is full, or fails otherwise; no part of the shard is left.
        """
        body = _HEADER.pack(_MAGIC, *vectors.shape) + keys.tobytes() + vectors.astype("<f4").tobytes()
        temporary = self._temporary()
        try:
            with temporary.open("xb") as file:
                file.write(body + _checksum(body))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / f"{blake2b(keys.tobytes(), digest_size=_KEY_BYTES).hexdigest()}.shard")
        finally:
            temporary.unlink(missing_ok=True)

    def _read_keys(self, path: Path) -> NDArray[np.bytes_]:
        """Return the keys of a shard of the right size, without a look at its checksum."""
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            magic, n, n_dims = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
            if magic != _MAGIC or n_dims != self._n_dims:
                msg = "not the header of a shard of this encoder"
                raise _DamagedShard(msg)
            expected = _HEADER.size + n * (_KEY_BYTES + 4 * n_dims) + _CHECKSUM_BYTES
            if (size := os.fstat(file.fileno()).st_size) != expected:
                msg = f"{size} bytes, expected {expected}"
                raise _DamagedShard(msg)
            return np.frombuffer(file.read(n * _KEY_BYTES), dtype=KEY_DTYPE)

    def _read_vectors(self, path: Path, n: int) -> NDArray[np.float32]:
        """Return the vectors of a shard, (n, d), its checksum verified."""
        content = path.read_bytes()
        body = memoryview(content)[:-_CHECKSUM_BYTES]
        if _checksum(body) != content[-_CHECKSUM_BYTES:]:
            msg = "its checksum does not hold"
            raise _DamagedShard(msg)
        vectors = np.frombuffer(body, dtype="<f4", offset=_HEADER.size + n * _KEY_BYTES)
        return vectors.reshape(n, self._n_dims)

    def _temporary(self) -> Path:
        return self.folder / f"{uuid4().hex}.tmp"

    def _remove_stale(self) -> None:
        for path in self.folder.glob("*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


class _DamagedShard(Exception):
    """A shard that is not what was written."""


def _checksum(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_CHECKSUM_BYTES).digest()
