from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from scllmda import _logging as logg
from scllmda.encoders import KmerEncoder, RandomEncoder, VectorCache, encode_sequences
from scllmda.encoders._cache import sequence_keys


class Fussy:
    """Vectors depend on everything in the call, as the last bits of a network's do; calls are written down."""

    name, revision, n_dims = "fussy", "1", 3

    def __init__(self, log: Path, *, hang_at: int | None = None) -> None:
        self.log, self.hang_at = log, hang_at
        self.log.touch()

    @property
    def calls(self) -> list[list[str]]:
        return [line.split(",") for line in self.log.read_text().splitlines()]

    def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
        with self.log.open("a") as log:
            log.write(",".join(sequences) + "\n")
        if self.hang_at == len(self.calls):
            time.sleep(60)
        whole = crc32("".join(sequences).encode())
        return np.array([[len(s), crc32(s.encode()), whole] for s in sequences], dtype=np.float32)


def random_sequences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), size=rng.integers(8, 30))) for _ in range(n)]


SEQUENCES = random_sequences(38)
SHARD = 4
N_SHARDS = 10


def encode(encoder: Fussy, sequences: list[str], cache_dir: Path | None) -> np.ndarray:
    cache = None if cache_dir is None else VectorCache(cache_dir, encoder)
    return encode_sequences(encoder, sequences, cache=cache, shard_size=SHARD)


def files(cache_dir: Path, suffix: str = "shard") -> list[Path]:
    return sorted(cache_dir.glob(f"*/*.{suffix}"))


def started(code: str, *arguments: Path | str) -> subprocess.Popen[bytes]:
    """Start a process that knows what this file defines above."""
    imports = "from __future__ import annotations\nimport sys, time\nfrom pathlib import Path\nfrom zlib import crc32\n"
    imports += "import numpy as np\nfrom scllmda.encoders import VectorCache, encode_sequences\n"
    defined = "\n".join(inspect.getsource(thing) for thing in (Fussy, random_sequences, encode))
    script = f"{imports}SHARD = {SHARD}\n{defined}\n{code}"
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)])


def wait_for(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(logg, "warning", said.append)
    return said


@pytest.fixture
def fussy(tmp_path: Path) -> Fussy:
    return Fussy(tmp_path / "calls")


@pytest.fixture
def plain(tmp_path: Path) -> np.ndarray:
    """Return what a run without cache gives."""
    return encode(Fussy(tmp_path / "plain calls"), SEQUENCES, None)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_cut_into_shards_by_length(fussy: Fussy, plain: np.ndarray, tmp_path: Path) -> None:
    calls = Fussy(tmp_path / "plain calls").calls
    assert [len(call) for call in calls] == [4] * 9 + [2]
    lengths = [len(s) for call in calls for s in call]
    assert lengths == sorted(lengths)
    np.testing.assert_array_equal(plain[:, 0], list(map(len, SEQUENCES)))
    np.testing.assert_array_equal(plain[:, 1], np.float32([crc32(s.encode()) for s in SEQUENCES]))


def test_order_case_and_repeats_change_nothing(fussy: Fussy, plain: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(38), 2))
    sequences = [SEQUENCES[i].lower() if place % 2 else SEQUENCES[i] for place, i in enumerate(order)]
    np.testing.assert_array_equal(encode(fussy, sequences, None), plain[order])
    assert sum(map(len, fussy.calls)) == 38


def test_without_a_known_base(fussy: Fussy, cache_dir: Path) -> None:
    vectors = encode(fussy, ["NNN", "NAN", "", "nnn", "x", "nan"], cache_dir)
    assert np.isnan(vectors).all(axis=1).tolist() == [True, False, True, True, True, False]
    assert fussy.calls == [["NAN"]]


@pytest.mark.parametrize("sequences", [[], ["NN"]])
def test_nothing_to_encode(fussy: Fussy, cache_dir: Path, sequences: list[str]) -> None:
    assert encode(fussy, sequences, cache_dir).shape == (len(sequences), 3)
    assert fussy.calls == []
    assert files(cache_dir) == []


@pytest.mark.parametrize("encoder", [KmerEncoder(4), RandomEncoder(16)], ids=["kmer", "random"])
def test_same_with_and_without(encoder: KmerEncoder | RandomEncoder, cache_dir: Path) -> None:
    expected = encoder.encode(SEQUENCES)
    for _ in range(2):
        cache = VectorCache(cache_dir, encoder)
        np.testing.assert_array_equal(encode_sequences(encoder, SEQUENCES, cache=cache, shard_size=5), expected)


def test_second_call_encodes_nothing(fussy: Fussy, plain: np.ndarray, cache_dir: Path) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(encode(fussy, SEQUENCES, cache_dir), plain)
        assert len(fussy.calls) == len(files(cache_dir)) == N_SHARDS
    np.testing.assert_array_equal(encode(fussy, SEQUENCES[5:8], cache_dir), plain[5:8])
    assert len(fussy.calls) == N_SHARDS


def test_new_peaks_alone_are_encoded(fussy: Fussy, plain: np.ndarray, cache_dir: Path) -> None:
    encode(fussy, SEQUENCES, cache_dir)
    new = random_sequences(6, seed=1)
    vectors = encode(fussy, [*new, *SEQUENCES], cache_dir)
    assert sorted(s for call in fussy.calls[N_SHARDS:] for s in call) == sorted(new)
    np.testing.assert_array_equal(vectors[6:], plain)


@pytest.mark.parametrize("attribute", ["name", "revision", "n_dims"])
def test_no_encoder_gets_the_vectors_of_another(fussy: Fussy, tmp_path: Path, cache_dir: Path, attribute: str) -> None:
    class Wider(Fussy):
        name = "a/b fussy" if attribute == "name" else "fussy"
        revision = "2" if attribute == "revision" else "1"
        n_dims = 4 if attribute == "n_dims" else 3

        def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
            return np.resize(super().encode(sequences) + 1, (len(sequences), self.n_dims))

    encode(fussy, SEQUENCES, cache_dir)
    other = Wider(tmp_path / "other calls")
    np.testing.assert_array_equal(encode(other, SEQUENCES, cache_dir), encode(other, SEQUENCES, None))
    assert len(other.calls) == 2 * N_SHARDS
    assert len(list(cache_dir.iterdir())) == 2


def test_killed_run_goes_on(fussy: Fussy, plain: np.ndarray, tmp_path: Path, cache_dir: Path) -> None:
    log = tmp_path / "killed calls"
    code = "encode(Fussy(Path(sys.argv[1]), hang_at=4), random_sequences(38), Path(sys.argv[2]))"
    process = started(code, log, cache_dir)
    wait_for(lambda: log.exists() and len(Fussy(log).calls) == 4)
    process.kill()
    process.wait()
    finished = files(cache_dir)
    assert len(finished) == 3
    before = [path.read_bytes() for path in finished]

    np.testing.assert_array_equal(encode(fussy, SEQUENCES, cache_dir), plain)
    assert fussy.calls == Fussy(tmp_path / "plain calls").calls[3:]
    assert [path.read_bytes() for path in finished] == before
    assert len(files(cache_dir)) == N_SHARDS


def test_any_finished_shards_will_do(fussy: Fussy, plain: np.ndarray, cache_dir: Path) -> None:
    # On a cluster shards finish in any order, so a killed run may leave any of them.
    encode(fussy, SEQUENCES, cache_dir)
    for seed in range(5):
        lost = np.random.default_rng(seed).permutation(files(cache_dir))[: 2 * seed + 1]
        for path in lost:
            path.unlink()
        n_calls = len(fussy.calls)
        np.testing.assert_array_equal(encode(fussy, SEQUENCES, cache_dir), plain)
        assert len(fussy.calls) - n_calls == len(lost)


@pytest.mark.parametrize("place", [0, 9, 17, 30, 100, 120, -33, -1])
def test_flipped_bit(fussy: Fussy, plain: np.ndarray, cache_dir: Path, warnings: list[str], place: int) -> None:
    encode(fussy, SEQUENCES, cache_dir)
    path = max(files(cache_dir), key=lambda path: path.stat().st_size)
    good = path.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 1
    path.write_bytes(bad)

    np.testing.assert_array_equal(encode(fussy, SEQUENCES, cache_dir), plain)
    assert len(fussy.calls) == N_SHARDS + 1
    assert path.read_bytes() == good
    assert files(cache_dir, "corrupt") == [path.with_suffix(".corrupt")]
    assert [str(path) in said for said in warnings] == [True]


@pytest.mark.parametrize("size", [0, 10, 24, 60, -1])
def test_truncated(fussy: Fussy, plain: np.ndarray, cache_dir: Path, warnings: list[str], size: int) -> None:
    encode(fussy, SEQUENCES, cache_dir)
    path = files(cache_dir)[2]
    path.write_bytes(path.read_bytes()[:size])
    np.testing.assert_array_equal(encode(fussy, SEQUENCES, cache_dir), plain)
    assert len(fussy.calls) == N_SHARDS + 1
    assert path.with_suffix(".corrupt").exists()
    assert [str(path) in said for said in warnings] == [True]


def test_two_processes_at_once(plain: np.ndarray, tmp_path: Path, cache_dir: Path) -> None:
    logs = [tmp_path / "calls0", tmp_path / "calls1"]
    code = (
        "encoder = Fussy(Path(sys.argv[1]))\n"
        "while not Path(sys.argv[2]).exists():\n"
        "    time.sleep(0.001)\n"
        "np.save(sys.argv[4], encode(encoder, random_sequences(38)[:: int(sys.argv[5])], Path(sys.argv[3])))"
    )
    processes = [
        started(code, logs[i], logs[1 - i], cache_dir, tmp_path / f"{i}.npy", step)
        for i, step in enumerate(["1", "-1"])
    ]
    assert [process.wait() for process in processes] == [0, 0]
    np.testing.assert_array_equal(np.load(tmp_path / "0.npy"), plain)
    np.testing.assert_array_equal(np.load(tmp_path / "1.npy"), plain[::-1])
    assert len(files(cache_dir)) == N_SHARDS
    assert files(cache_dir, "tmp") == files(cache_dir, "corrupt") == []


def test_equal_keys_in_several_shards(fussy: Fussy, cache_dir: Path) -> None:
    cache = VectorCache(cache_dir, fussy)
    keys = np.sort(sequence_keys(SEQUENCES[:6]))
    vectors = np.arange(18, dtype=np.float32).reshape(6, 3)
    cache.write(keys[:4], vectors[:4])
    cache.write(keys[2:], vectors[2:])
    found = list(cache.read(keys))
    np.testing.assert_array_equal(np.sort(np.concatenate([places for places, _ in found])), range(6))
    for places, values in found:
        np.testing.assert_array_equal(values, vectors[places])


def test_full_disk(fussy: Fussy, plain: np.ndarray, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, n_calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left.*after 8 of 38 new sequences.*call again") as raised:
            encode(fussy, SEQUENCES, cache_dir)
    assert raised.value.errno == errno.ENOSPC
    assert len(files(cache_dir)) == 2
    assert files(cache_dir, "tmp") == []
    np.testing.assert_array_equal(encode(fussy, SEQUENCES, cache_dir), plain)
    assert len(fussy.calls) == 3 + N_SHARDS - 2


def test_folder_that_cannot_be_written(fussy: Fussy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(NotADirectoryError, match="Pass cache_dir= another one"):
        VectorCache(taken, fussy)

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError, match=r"Cannot write to cache_dir='.*\(Permission denied\)"):
        VectorCache(tmp_path / "cache", fussy)


def test_only_old_temporary_files_are_removed(fussy: Fussy, cache_dir: Path) -> None:
    folder = VectorCache(cache_dir, fussy).folder
    old, young = folder / "old.tmp", folder / "young.tmp"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    VectorCache(cache_dir, fussy)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_within_shards(fussy: Fussy, batch_size: int) -> None:
    encode_sequences(fussy, SEQUENCES[:8], batch_size=batch_size, shard_size=SHARD)
    expected = {1: [1] * 8, 3: [3, 1, 3, 1], 100: [4, 4]}
    assert [len(call) for call in fussy.calls] == expected[batch_size]
