from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scllmda.encoders import KmerEncoder, PeakEncoder, VectorCache, encode_sequences

pytest.importorskip("distributed")

RNG = np.random.default_rng(0)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), size=RNG.integers(8, 30))) for _ in range(62)]
N_SHARDS = 16


def fussy_encoder(folder: Path, *, deadly: bool = False) -> Any:
    """Return an encoder whose vectors depend on the whole call, as a network's last bits do."""

    # Defined here so that it travels by value: workers cannot import this file.
    class Fussy:
        name, revision, n_dims = "fussy", "1", 3

        def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
            import os
            import signal
            from uuid import uuid4
            from zlib import crc32

            (folder / f"{os.getpid()}-{uuid4().hex}.call").touch()
            flag = folder / "died"
            if deadly and len(list(folder.glob("*.call"))) > 5 and not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            whole = crc32("".join(sequences).encode())
            return np.array([[len(s), crc32(s.encode()), whole] for s in sequences], dtype=np.float32)

    return Fussy()


def encode(encoder: PeakEncoder, **options: Any) -> np.ndarray:
    return encode_sequences(encoder, SEQUENCES, shard_size=4, **options)


def test_same_bytes_as_one_process(client: Any, tmp_path: Path) -> None:
    encoder = fussy_encoder(tmp_path)
    expected = encode(encoder)
    for path in tmp_path.glob("*.call"):
        path.unlink()
    cache = VectorCache(tmp_path / "cache", encoder)
    np.testing.assert_array_equal(encode(encoder, client=client, cache=cache), expected)
    assert len(list(tmp_path.glob("*.call"))) == N_SHARDS == len(list(cache.folder.iterdir()))
    assert len({path.name.split("-")[0] for path in tmp_path.glob("*.call")}) == 2

    # The shards are those of one process: with them it has nothing left to do.
    np.testing.assert_array_equal(encode(encoder, cache=cache), expected)
    assert len(list(tmp_path.glob("*.call"))) == N_SHARDS


def test_named_encoders_are_made_by_the_workers(client: Any) -> None:
    encoder = KmerEncoder()
    found = encode(encoder, client=client, recipe=("kmer", "cpu"), batch_size=3)
    np.testing.assert_array_equal(found, encoder.encode(SEQUENCES))
    with pytest.raises(ValueError, match=r"has revision '1-k\d', expected '1-k2'"):
        encode(KmerEncoder(2), client=client, recipe=("kmer", "cpu"))


def test_broken_encoder(client: Any, tmp_path: Path) -> None:
    encoder = fussy_encoder(tmp_path)
    encoder.n_dims = 2
    with pytest.raises(ValueError, match=r"shape \(4, 3\) for 4 sequences, expected \(4, 2\)"):
        encode(encoder, client=client)


def test_nothing_to_encode(client: Any) -> None:
    assert np.isnan(encode_sequences(KmerEncoder(1), ["N"], client=client)).all()


def test_killed_worker(client: Any, tmp_path: Path) -> None:
    quiet, deadly = tmp_path / "quiet", tmp_path / "deadly"
    quiet.mkdir()
    deadly.mkdir()
    expected = encode(fussy_encoder(quiet))
    encoder = fussy_encoder(deadly, deadly=True)
    cache = VectorCache(tmp_path / "cache", encoder)
    np.testing.assert_array_equal(encode(encoder, client=client, cache=cache), expected)
    assert (deadly / "died").exists()
    assert len(list(cache.folder.iterdir())) == N_SHARDS
