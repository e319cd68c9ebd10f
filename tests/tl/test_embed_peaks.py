from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

from scllmda import encoders
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
    np.testing.assert_array_equal(adata.varm[f"X_{name}"], encoder.encode(SEQUENCES))
    assert adata.uns[f"X_{name}"] == {"encoder": name, "revision": encoder.revision, "n_dims": encoder.n_dims}


def test_object_key_and_column(adata: ad.AnnData) -> None:
    adata.var["window"] = adata.var.pop("sequence")
    embed_peaks(adata, Lengths(), sequence_key="window", key_added="X_mine")
    np.testing.assert_array_equal(adata.varm["X_mine"], [[10, 4], [10, 0], [10, 4], [10, 0], [10, 0]])
    assert adata.varm["X_mine"].dtype == np.float32
    assert adata.uns["X_mine"]["encoder"] == "lengths"


@pytest.mark.parametrize("batch_size", [None, 1, 3, 100])
def test_equal_sequences_are_encoded_once_in_batches(adata: ad.AnnData, batch_size: int | None) -> None:
    encoder = Lengths()
    embed_peaks(adata, encoder, batch_size=batch_size)
    assert [s for call in encoder.calls for s in call] == list(dict.fromkeys(SEQUENCES))
    assert all(len(call) <= (batch_size or 4) for call in encoder.calls)
    np.testing.assert_array_equal(adata.varm["X_lengths"], Lengths().encode(SEQUENCES))


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_any_column_of_text(adata: ad.AnnData, dtype: str) -> None:
    adata.var["sequence"] = adata.var["sequence"].astype(dtype)
    embed_peaks(adata)
    np.testing.assert_array_equal(adata.varm["X_kmer"], encoders.get("kmer").encode(SEQUENCES))


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
        (np.zeros((4, 3)), r"shape \(4, 3\) for 4 sequences, expected \(4, 2\)"),
        (np.zeros((1, 2)), r"shape \(1, 2\) for 4 sequences, expected \(4, 2\)"),
        (np.array([[0, np.nan], [0, 0], [np.inf, 0], [0, 0]]), "NaN or infinite values for 2 of 4 sequences"),
    ],
)
def test_broken_encoder(adata: ad.AnnData, vectors: np.ndarray, message: str) -> None:
    before = slots(adata)
    with pytest.raises(ValueError, match=message):
        embed_peaks(adata, Broken(vectors))
    assert slots(adata) == before


def test_device_of_an_object_is_its_own(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="set its device there"):
        embed_peaks(adata, Lengths(), device="cpu")


@pytest.mark.parametrize("key", ["a/b", ""])
def test_slot_names_that_files_cannot_hold(adata: ad.AnnData, key: str) -> None:
    with pytest.raises(ValueError, match="Pass key_added="):
        embed_peaks(adata, key_added=key)


def test_batch_size_out_of_range(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="batch_size=0 found"):
        embed_peaks(adata, batch_size=0)
