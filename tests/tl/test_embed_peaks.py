from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

from scllmda import encoders
from scllmda.datasets import simulate
from scllmda.pp import peak_sequences
from scllmda.tl import cell_embeddings
from scllmda.tl._embed_peaks import embed_peaks

if TYPE_CHECKING:
    from pathlib import Path

SEQUENCES = ["ACGTACGTAA", "TTTTTTTTTT", "ACGTACGTAA", "NNNNNNNNNN", "gggccctttt"]


class Lengths:
    """A user's own encoder, which remembers what it was asked."""

    name, revision, n_dims = "lengths", "a", 2

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
        self.calls.append(list(sequences))
        return np.array([[len(s), s.count("A")] for s in sequences], dtype=np.float64)


class Broken(Lengths):
    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__()
        self.vectors = vectors

    def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
        return self.vectors


def embedded(encoder: encoders.PeakEncoder) -> np.ndarray:
    """Return the vectors of ``SEQUENCES``, which the peak that is nothing but N has not."""
    vectors = encoder.encode(SEQUENCES)
    vectors[3] = np.nan
    return vectors


@pytest.fixture
def adata() -> ad.AnnData:
    adata = ad.AnnData(np.ones((3, 5), dtype=np.float32))
    adata.var_names = [f"chr1:{i}-{i + 10}" for i in range(5)]
    adata.var["sequence"] = SEQUENCES
    return adata


def slots(adata: ad.AnnData) -> dict[str, set[str]]:
    return {a: set(getattr(adata, a)) for a in ("obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns")}


@pytest.mark.parametrize("name", ["kmer", "random"])
def test_writes_its_slots_and_nothing_else(adata: ad.AnnData, name: str) -> None:
    before, X, var = slots(adata), adata.X.copy(), adata.var.copy()
    assert embed_peaks(adata, name) is None
    assert slots(adata) == before | {"varm": {f"X_{name}"}, "uns": {f"X_{name}"}}
    np.testing.assert_array_equal(adata.X, X)
    pd.testing.assert_frame_equal(adata.var, var)

    encoder = encoders.get(name)
    assert adata.varm[f"X_{name}"].dtype == np.float32
    np.testing.assert_array_equal(adata.varm[f"X_{name}"], embedded(encoder))
    assert adata.uns[f"X_{name}"] == {"encoder": name, "revision": encoder.revision, "n_dims": encoder.n_dims}


def test_object_key_and_column(adata: ad.AnnData) -> None:
    adata.var["window"] = adata.var.pop("sequence")
    embed_peaks(adata, Lengths(), sequence_key="window", key_added="X_mine")
    np.testing.assert_array_equal(adata.varm["X_mine"], embedded(Lengths()))
    assert adata.varm["X_mine"].dtype == np.float32
    assert adata.uns["X_mine"]["encoder"] == "lengths"


@pytest.mark.parametrize("batch_size", [None, 1, 3, 100])
def test_equal_sequences_are_encoded_once_in_batches(adata: ad.AnnData, batch_size: int | None) -> None:
    encoder = Lengths()
    embed_peaks(adata, encoder, batch_size=batch_size)
    assert sorted(s for call in encoder.calls for s in call) == ["ACGTACGTAA", "GGGCCCTTTT", "TTTTTTTTTT"]
    assert all(len(call) <= (batch_size or 3) for call in encoder.calls)
    np.testing.assert_array_equal(adata.varm["X_lengths"], embedded(Lengths()))


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_any_column_of_text(adata: ad.AnnData, dtype: str) -> None:
    adata.var["sequence"] = adata.var["sequence"].astype(dtype)
    embed_peaks(adata)
    np.testing.assert_array_equal(adata.varm["X_kmer"], embedded(encoders.get("kmer")))


def test_copy_leaves_the_original(adata: ad.AnnData) -> None:
    copied = embed_peaks(adata, copy=True)
    assert isinstance(copied, ad.AnnData)
    assert "X_kmer" in copied.varm
    assert slots(adata)["varm"] == slots(adata)["uns"] == set()


def test_mudata_in_place_and_copy(adata: ad.AnnData) -> None:
    rna = ad.AnnData(np.ones((3, 2), dtype=np.float32))
    rna.var_names = ["g1", "g2"]
    mdata = md.MuData({"peaks": adata, "rna": rna})
    copied = embed_peaks(mdata, mod="peaks", copy=True)
    assert "X_kmer" in copied["peaks"].varm
    assert "X_kmer" not in mdata["peaks"].varm
    assert embed_peaks(mdata, mod="peaks") is None
    assert "X_kmer" in mdata["peaks"].varm
    assert not mdata["rna"].varm
    with pytest.raises(KeyError, match="no modality 'atac'"):
        embed_peaks(mdata)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_slots_survive_writing(adata: ad.AnnData, tmp_path: Path, suffix: str) -> None:
    embed_peaks(adata)
    path = tmp_path / f"a.{suffix}"
    (adata.write_h5ad if suffix == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if suffix == "h5ad" else ad.read_zarr)(path)
    np.testing.assert_array_equal(back.varm["X_kmer"], adata.varm["X_kmer"])
    assert back.uns["X_kmer"] == adata.uns["X_kmer"]
    # Written objects hold repeated text as categories: embedding again gives the same.
    embed_peaks(back)
    np.testing.assert_array_equal(back.varm["X_kmer"], adata.varm["X_kmer"])


def test_order_of_peaks_does_not_matter(adata: ad.AnnData) -> None:
    turned = adata[:, ::-1].copy()
    embed_peaks(adata)
    embed_peaks(turned)
    np.testing.assert_array_equal(turned.varm["X_kmer"], adata.varm["X_kmer"][::-1])


def test_no_sequences(adata: ad.AnnData) -> None:
    with pytest.raises(KeyError, match=r"Did not find \.var\['seq'\].*Run sl\.pp\.peak_sequences"):
        embed_peaks(adata, sequence_key="seq")


def test_no_peaks(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="Found no peaks"):
        embed_peaks(adata[:, :0].copy())


def test_missing_and_wrong_sequences_are_counted(adata: ad.AnnData) -> None:
    adata.var["sequence"] = pd.Series(["ACGT", None, 3, 3, np.nan], index=adata.var_names, dtype=object)
    encoder = Lengths()
    with pytest.raises(ValueError, match="of 5 peaks: 2 missing, 2 not text"):
        embed_peaks(adata, encoder)
    assert encoder.calls == []


def test_unknown_encoder(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="Did you mean 'kmer'"):
        embed_peaks(adata, "kmre")


@pytest.mark.parametrize("encoder", [3, object(), Lengths])
def test_not_an_encoder(adata: ad.AnnData, encoder: object) -> None:
    with pytest.raises(TypeError, match="expected a name or an object with"):
        embed_peaks(adata, encoder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((3, 3)), r"shape \(3, 3\) for 3 sequences, expected \(3, 2\)"),
        (np.zeros((1, 2)), r"shape \(1, 2\) for 3 sequences, expected \(3, 2\)"),
        (np.array([[0, np.nan], [0, 0], [np.inf, 0]]), "NaN or infinite values for 2 of 3 sequences"),
    ],
)
def test_broken_encoder(adata: ad.AnnData, vectors: np.ndarray, message: str) -> None:
    before = slots(adata)
    with pytest.raises(ValueError, match=message):
        embed_peaks(adata, Broken(vectors))
    assert slots(adata) == before


def test_device_of_an_object_is_its_own(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="leave device out, or set it there"):
        embed_peaks(adata, Lengths(), device="cpu")


@pytest.mark.parametrize("key", ["a/b", ""])
def test_slot_names_that_files_cannot_hold(adata: ad.AnnData, key: str) -> None:
    with pytest.raises(ValueError, match="Pass key_added="):
        embed_peaks(adata, key_added=key)


def test_batch_size_out_of_range(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="batch_size=0; expected a positive number"):
        embed_peaks(adata, batch_size=0)


def test_no_known_base(adata: ad.AnnData) -> None:
    adata.var["sequence"] = "NNNN"
    with pytest.raises(ValueError, match=r"None of the 5 peaks \(first: 'chr1:0-10'\) has a known base"):
        embed_peaks(adata)


def test_cell_embeddings_understand_peaks_without_a_sequence(adata: ad.AnnData) -> None:
    adata = ad.AnnData(np.random.default_rng(0).poisson(0.6, size=(40, 5)).astype(np.float32), var=adata.var)
    embed_peaks(adata)
    del adata.var["sequence"]
    cell_embeddings(adata, n_latent=3)
    assert np.isfinite(adata.obsm["X_scllmda"]).all()


class TestCache:
    def test_same_as_without(self, adata: ad.AnnData, tmp_path: Path) -> None:
        plain = embed_peaks(adata, copy=True)
        for _ in range(2):
            cached = embed_peaks(adata, cache_dir=tmp_path / "cache", copy=True)
            np.testing.assert_array_equal(cached.varm["X_kmer"], plain.varm["X_kmer"])
            assert cached.uns["X_kmer"] == plain.uns["X_kmer"]

    def test_new_peaks_alone_are_encoded(self, adata: ad.AnnData, tmp_path: Path) -> None:
        encoder = Lengths()
        embed_peaks(adata[:, :2].copy(), encoder, cache_dir=str(tmp_path))
        embed_peaks(adata, encoder, cache_dir=str(tmp_path))
        assert [sorted(call) for call in encoder.calls] == [["ACGTACGTAA", "TTTTTTTTTT"], ["GGGCCCTTTT"]]
        np.testing.assert_array_equal(adata.varm["X_lengths"], embedded(Lengths()))

    def test_none_by_default(self, adata: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(variable, str(tmp_path))
        monkeypatch.chdir(tmp_path)
        encoder = Lengths()
        for _ in range(2):
            embed_peaks(adata, encoder)
        assert len(encoder.calls) == 2
        assert not list(tmp_path.iterdir())

    def test_unusable_folder_is_found_before_the_work(self, adata: ad.AnnData, tmp_path: Path) -> None:
        taken, encoder = tmp_path / "file", Lengths()
        taken.touch()
        with pytest.raises(OSError, match="Cannot write to cache_dir="):
            embed_peaks(adata, encoder, cache_dir=taken, genome=tmp_path / "never opened")
        assert encoder.calls == []
        assert not adata.varm


class TestClient:
    def test_not_a_client(self, adata: ad.AnnData) -> None:
        with pytest.raises(TypeError, match="expected a Dask client"):
            embed_peaks(adata, client="tcp://scheduler:8786")

    @pytest.mark.parametrize("name", ["kmer", "object"])
    def test_same_as_without(self, adata: ad.AnnData, name: str) -> None:
        distributed = pytest.importorskip("distributed")
        encoder = "kmer" if name == "kmer" else encoders.KmerEncoder()
        with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
            embed_peaks(adata, encoder, client=client)
        np.testing.assert_array_equal(adata.varm["X_kmer"], embedded(encoders.get("kmer")))


class TestGenome:
    @pytest.fixture
    def fasta(self, tmp_path: Path) -> Path:
        rng = np.random.default_rng(0)
        path = tmp_path / "genome.fa"
        contigs = {"chr1": "".join(rng.choice(list("ACGTacgt"), size=60)), "chr2": "N" * 30}
        path.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
        return path

    @pytest.fixture
    def peaks(self) -> ad.AnnData:
        adata = ad.AnnData(np.ones((3, 5), dtype=np.float32))
        adata.var_names = ["chr1:0-12", "chr1:30-50", "chr2:4-9", "chrUn:5-9", "chr1:40-60"]
        return adata

    @pytest.mark.parametrize("window", [None, 16])
    def test_same_as_in_two_steps(self, peaks: ad.AnnData, fasta: Path, window: int | None) -> None:
        peaks.var["sequence"] = "not read"
        before = peaks.var.copy()
        embed_peaks(peaks, genome=fasta, window=window)
        pd.testing.assert_frame_equal(peaks.var, before)
        assert {key for keys in slots(peaks).values() for key in keys if key} == {"sequence", "X_kmer"}
        assert np.isnan(peaks.varm["X_kmer"]).all(axis=1).tolist() == [False, False, True, True, False]

        stored = peaks.copy()
        peak_sequences(stored, fasta, window=window, missing="n")
        embed_peaks(stored)
        np.testing.assert_array_equal(stored.varm["X_kmer"], peaks.varm["X_kmer"])

    def test_object_with_a_fasta(self, peaks: ad.AnnData, fasta: Path) -> None:
        class Genome:
            pass

        genome = Genome()
        genome.fasta = fasta  # type: ignore[attr-defined]
        embed_peaks(peaks, genome=genome)
        assert set(peaks.var) == set()
        assert np.isfinite(peaks.varm["X_kmer"]).any()

    def test_another_build(self, peaks: ad.AnnData, fasta: Path) -> None:
        peaks.var_names = [*peaks.var_names[:4], "chr1:60-70"]
        with pytest.raises(ValueError, match="another genome build"):
            embed_peaks(peaks, genome=fasta)

    def test_window_needs_a_genome(self, adata: ad.AnnData) -> None:
        with pytest.raises(ValueError, match="window=16 without a genome"):
            embed_peaks(adata, window=16)


def test_an_encoder_that_learns_is_fitted_to_the_counts_of_the_object() -> None:
    reference, _ = simulate(n_reference=60, n_query=10, n_peaks=300, n_types=3)
    seen = {}

    class Learner:
        name, revision, n_dims, fitted = "learner", "unfitted", 1, False

        def fit(self, sequences: list[str], X: object) -> Learner:
            seen["sequences"], seen["X"] = list(sequences), X
            self.fitted, self.revision = True, "fitted"
            return self

        def encode(self, sequences: list[str], *, progress: bool = False) -> np.ndarray:
            return np.full((len(sequences), 1), 7, dtype=np.float32)

    embed_peaks(reference, Learner())
    assert seen["sequences"] == reference.var["sequence"].tolist()
    assert (seen["X"] != reference.X).nnz == 0
    assert reference.uns["X_learner"]["revision"] == "fitted"
    assert (reference.varm["X_learner"] == 7).all()
