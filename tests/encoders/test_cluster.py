from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

import scllmda as sl
from scllmda.encoders import KmerEncoder, PeakEncoder, Texts, VectorCache, _sequences, describe, encode_sequences
from scllmda.genomics import FastaFile, Intervals, RemoteFasta, fasta_windows

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


@pytest.mark.parametrize("from_fasta", [False, True])
def test_killed_worker(client: Any, tmp_path: Path, fasta: Path, *, from_fasta: bool) -> None:
    quiet, deadly = tmp_path / "quiet", tmp_path / "deadly"
    quiet.mkdir()
    deadly.mkdir()
    expected = encode(fussy_encoder(quiet))
    encoder = fussy_encoder(deadly, deadly=True)
    cache = VectorCache(tmp_path / "cache", encoder)
    with fasta_windows(fasta, INTERVALS) as (file, windows):
        source = describe(windows, file, client) if from_fasta else SEQUENCES
        found = encode_sequences(encoder, source, shard_size=4, client=client, cache=cache)
    np.testing.assert_array_equal(found, expected)
    assert (deadly / "died").exists()
    assert len(list(cache.folder.iterdir())) == N_SHARDS


END = np.cumsum([len(sequence) for sequence in SEQUENCES])
INTERVALS = Intervals(np.full(len(END), "chr1"), np.r_[0, END[:-1]], END)


@pytest.fixture(params=["genome.fa"])
def fasta(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a genome of which ``SEQUENCES`` are the intervals, partly masked, and more."""
    bases = "".join(s.lower() if i % 3 else s for i, s in enumerate(SEQUENCES))
    lines = [">chr1", *(bases[i : i + 50] for i in range(0, len(bases), 50)), ">chr2", "NNNNacgtNNNNRYKM"]
    path = tmp_path / request.param
    content = ("\n".join(lines) + "\n").encode()
    if path.suffix != ".fa":
        # Several members, the last one empty: what bgzip writes, and gunzip reads.
        content = b"".join(gzip.compress(part) for part in (content[:700], content[700:], b""))
    path.write_bytes(content)
    return path


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sequences this process has read from a FASTA, call by call; workers are other processes."""
    counts: list[int] = []
    read = FastaFile.read

    def counting(self: FastaFile, contig: Any, *where: Any) -> list[str]:
        counts.append(len(contig))
        return read(self, contig, *where)

    monkeypatch.setattr(FastaFile, "read", counting)
    return counts


class TestFasta:
    """Sequences that the workers read themselves."""

    @pytest.mark.parametrize("fasta", ["genome.fa", "genome.fa.gz"], indirect=True)
    def test_only_workers_read(
        self, client: Any, tmp_path: Path, fasta: Path, read_here: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_sequences, "_BLOCK", 7)
        encoder = fussy_encoder(tmp_path)
        expected = encode(encoder)
        cache = VectorCache(tmp_path / "cache", encoder)
        with fasta_windows(fasta, INTERVALS) as (file, windows):
            read_here.clear()
            sequences = describe(windows, file, client)
            found = encode_sequences(encoder, sequences, shard_size=4, client=client, cache=cache)
            assert read_here == []
        np.testing.assert_array_equal(found, expected)
        described = describe(Texts(SEQUENCES))
        for name in ("keys", "length", "is_known"):
            np.testing.assert_array_equal(getattr(sequences, name), getattr(described, name))

        # What the workers did is not done again here, and here too a block is read at a time.
        n_calls = len(list(tmp_path.glob("*.call")))
        np.testing.assert_array_equal(encode(encoder, cache=cache), expected)
        assert len(list(tmp_path.glob("*.call"))) == n_calls
        with fasta_windows(fasta, INTERVALS) as (file, windows):
            read_here.clear()
            found = encode_sequences(encoder, describe(windows, file), shard_size=4)
            assert sum(read_here) == 2 * len(SEQUENCES)
            assert max(read_here) == 7
        np.testing.assert_array_equal(found, expected)

    def test_another_file_than_here(self, client: Any, fasta: Path) -> None:
        with fasta_windows(fasta, INTERVALS) as (file, windows):
            bases = fasta.read_text()
            other = fasta.with_name("other.fa")
            other.write_text(bases.replace(">chr2", ">chr3"))
            other.replace(fasta)
            with pytest.raises(ValueError, match=r"A worker found another FASTA at '.*genome\.fa'"):
                describe(windows, file, client)

    def test_file_that_changes(self, client: Any, fasta: Path) -> None:
        with fasta_windows(fasta, INTERVALS) as (file, windows):
            sequences = describe(windows, file, client)
            with fasta.open("r+") as opened:
                opened.seek(len(">chr1\n"))
                opened.write("A" * 50)
            with pytest.raises(ValueError, match=r"genome\.fa' has changed since its sequences were first read"):
                encode_sequences(KmerEncoder(1), sequences, client=client)

    def test_letters_that_are_no_nucleotides(self, client: Any, fasta: Path) -> None:
        fasta.write_text(f">chr1\n{'A' * 1100}E{'A' * 200}\n")
        with (
            fasta_windows(fasta, Intervals.from_names(["chr1:0-30", "chr1:1090-1110"])) as (file, windows),
            pytest.raises(ValueError, match=r"Found 'E' in chr1:1090-1110 of '.*genome\.fa'; expected IUPAC codes"),
        ):
            describe(windows, file, client)

    @pytest.mark.parametrize("window", [None, 12])
    def test_embed_peaks(
        self, client: Any, fasta: Path, read_here: list[int], warnings: list[str], window: int | None
    ) -> None:
        adata = ad.AnnData(shape=(0, len(SEQUENCES) + 3))
        adata.var_names = [*INTERVALS.names(), "chr2:0-4", "chr2:2-8", "chrUn:5-90"]
        stored, here, there = adata.copy(), adata.copy(), adata.copy()
        sl.pp.peak_sequences(stored, fasta, window=window, missing="n")
        sl.tl.embed_peaks(stored)
        sl.tl.embed_peaks(here, genome=fasta, window=window)
        warned = len(warnings)
        read_here.clear()
        sl.tl.embed_peaks(there, genome=fasta, window=window, client=client)
        # The starts of two contigs are looked at here.
        assert read_here == [2]
        np.testing.assert_array_equal(there.varm["X_kmer"], here.varm["X_kmer"])
        np.testing.assert_array_equal(there.varm["X_kmer"], stored.varm["X_kmer"])
        lacking = np.isnan(there.varm["X_kmer"]).all(axis=1)
        assert lacking[:-3].sum() == 0
        assert lacking[-3:].tolist() == [window is None, False, True]
        assert warnings[warned:] == warnings[warned // 2 : warned]
        assert f"{lacking.sum()} of {adata.n_vars} peaks have no sequence" in warnings[-1]
        assert there.var.columns.tolist() == []

    def test_worker_without_the_file(
        self, client: Any, tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = tmp_path / "nowhere.fa"
        monkeypatch.setattr(_sequences, "RemoteFasta", lambda path, digest: RemoteFasta(nowhere, digest))
        adata = ad.AnnData(shape=(0, len(SEQUENCES)))
        adata.var_names = INTERVALS.names()
        with pytest.raises(FileNotFoundError, match=r"A worker cannot read the FASTA '.*nowhere\.fa'.*peak_sequences"):
            sl.tl.embed_peaks(adata, genome=fasta, client=client)
        assert not adata.varm
        sl.pp.peak_sequences(adata, fasta, missing="n")
        sl.tl.embed_peaks(adata, client=client)
        np.testing.assert_array_equal(adata.varm["X_kmer"], KmerEncoder().encode(SEQUENCES))
