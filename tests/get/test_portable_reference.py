from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from tests._objects import added, annotated, assert_same, assert_same_annotation, pair, snapshot

import scllmda as sl


@pytest.fixture(scope="module")
def fitted() -> AnnData:
    """Return a fitted reference, with more in it than others need; not to be changed."""
    reference = pair(sequence=True)[0]
    reference.layers["raw"] = reference.X.copy()
    reference.raw = reference.copy()
    reference.obsm["X_pca"] = np.ones((reference.n_obs, 2))
    reference.obsp["graph"] = sp.eye(reference.n_obs, format="csr")
    reference.uns["genome"] = "simulated"
    sl.tl.embed_peaks(reference)
    sl.tl.cell_embeddings(reference, n_latent=16)
    return reference


@pytest.fixture(scope="module")
def query() -> AnnData:
    """Return a query with sequences; not to be changed."""
    query = pair(sequence=True)[1]
    sl.tl.embed_peaks(query)
    return query


def test_holds_what_others_need_and_nothing_else(fitted: AnnData) -> None:
    before = snapshot(fitted)
    portable = sl.get.portable_reference(fitted)
    assert portable.X is None
    assert portable.raw is None
    found = snapshot(portable)
    assert {slot for slot in found if slot[0] in ("layers", "obsp", "varp")} == set()
    assert {slot for slot in found if slot[0] in ("obsm", "varm", "uns")} == {
        ("obsm", "X_scllmda"),
        ("varm", "X_scllmda"),
        ("uns", "X_scllmda"),
        ("uns", "genome"),
    }
    assert set(portable.var) == {"chrom", "start", "end", "X_scllmda_rate"}
    k = len(fitted.uns["X_scllmda"]["cell_gram"])
    for name in ("obsm", "varm"):
        whole, kept = getattr(fitted, name)["X_scllmda"], getattr(portable, name)["X_scllmda"]
        assert kept.dtype == np.float16
        np.testing.assert_array_equal(kept, whole[:, :k])
        assert not whole[:, k:].any()
    for slot, value in found.items():
        if slot != ("X", "") and slot[0] not in ("obsm", "varm"):
            assert_same(value, before[slot], str(slot))
    assert added(before, snapshot(fitted)) == set()


def test_shares_nothing_with_its_source(fitted: AnnData) -> None:
    before = snapshot(fitted)
    portable = sl.get.portable_reference(fitted)
    portable.obsm["X_scllmda"][:] = 0
    portable.varm["X_scllmda"][:] = 0
    portable.var["X_scllmda_rate"] = 0
    portable.uns["X_scllmda"]["prior"]["weights"][:] = 0
    portable.obs["cell_type"] = "B"
    assert added(before, snapshot(fitted)) == set()


@pytest.mark.parametrize("options", [{}, {"batch_key": "batch"}, {"unlabeled": "B"}, {"labels_key": "kind"}])
def test_annotates_as_the_frozen_reference_does(options: dict[str, Any], fitted: AnnData, query: AnnData) -> None:
    reference = fitted
    if "labels_key" in options:
        reference = fitted.copy()
        reference.obs["kind"] = reference.obs.pop("cell_type").astype(str).replace("B", "b")
    expected = annotated(query, reference, frozen=True, **options)
    assert_same_annotation(annotated(query, sl.get.portable_reference(reference), **options), expected)
    if "unlabeled" in options:
        assert "B" not in expected.uns["scllmda"]["classes"]


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_annotates_from_a_file_that_was_moved(form: str, fitted: AnnData, query: AnnData, tmp_path: Path) -> None:
    expected = annotated(query, fitted, frozen=True)
    path, elsewhere = tmp_path / f"reference.{form}", tmp_path / "elsewhere" / f"mine.{form}"
    getattr(sl.get.portable_reference(fitted), f"write_{form}")(path)
    elsewhere.parent.mkdir()
    path.rename(elsewhere)
    assert_same_annotation(annotated(query, elsewhere), expected)
    again = getattr(ad, f"read_{form}")(elsewhere)
    assert again.X is None
    assert_same_annotation(annotated(query, again), expected)
    mapped = sl.tl.map_cells(query, elsewhere, copy=True).obsm["X_scllmda"]
    assert_same(mapped, sl.tl.map_cells(query, fitted, copy=True).obsm["X_scllmda"])


def test_counts_of_the_query_in_a_layer(fitted: AnnData, query: AnnData) -> None:
    portable = sl.get.portable_reference(fitted)
    expected = annotated(query, portable)
    query = query.copy()
    query.layers["counts"], query.X = query.X, -query.X
    assert_same_annotation(annotated(query, portable, layer="counts"), expected, ignore=("params",))


def test_query_with_sequences_only(fitted: AnnData, query: AnnData) -> None:
    portable = sl.get.portable_reference(fitted)
    expected = annotated(query, portable)
    query = query.copy()
    del query.varm["X_kmer"]
    assert_same_annotation(annotated(query, portable), expected)
    assert expected.uns["scllmda"]["coverage"]["n_own"] == 160


def test_of_paths_mudata_and_other_keys(fitted: AnnData, tmp_path: Path) -> None:
    expected = snapshot(sl.get.portable_reference(fitted))
    fitted.write_h5ad(tmp_path / "reference.h5ad")
    from_path = sl.get.portable_reference(tmp_path / "reference.h5ad")
    assert added(expected, snapshot(from_path)) == set()
    data = MuData({"peaks": fitted})
    assert added(expected, snapshot(sl.get.portable_reference(data, mod="peaks"))) == set()
    backed = ad.read_h5ad(tmp_path / "reference.h5ad", backed="r")
    assert added(expected, snapshot(sl.get.portable_reference(backed))) == set()
    backed.file.close()
    other = pair()[0]
    sl.tl.cell_embeddings(other, n_latent=4, key_added="other")
    portable = sl.get.portable_reference(other, use_rep="other")
    assert set(portable.obsm) == set(portable.varm) == set(portable.uns) == {"other"}


def test_of_a_view(fitted: AnnData, query: AnnData) -> None:
    portable = sl.get.portable_reference(fitted[:100])
    assert not portable.is_view
    assert_same_annotation(annotated(query, portable), annotated(query, fitted[:100], frozen=True))


def test_errors(fitted: AnnData) -> None:
    reference, query = pair()
    with pytest.raises(KeyError, match=r"not fitted: no \.obsm\['X_scllmda'\].*sl\.tl\.cell_embeddings\(reference\)"):
        sl.get.portable_reference(reference)
    with pytest.raises(KeyError, match=r"not fitted: no .*'other'"):
        sl.get.portable_reference(fitted, use_rep="other")
    sl.tl.map_cells(query, fitted)
    with pytest.raises(KeyError, match="not fitted"):
        sl.get.portable_reference(query)
    with pytest.raises(KeyError, match="no modality 'atac'"):
        sl.get.portable_reference(MuData({"rna": reference}))
    with pytest.raises(FileNotFoundError, match="Found no file"):
        sl.get.portable_reference("no.h5ad")


def test_is_smaller_than_its_source(shared_data: Path, tmp_path: Path) -> None:
    marrow = ad.read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")
    reference = marrow[marrow.obs["batch"] == "BMMC_D6T1"].copy()
    bare = reference.copy()
    sl.tl.cell_embeddings(reference)
    portable = sl.get.portable_reference(reference)

    def size(adata: AnnData, compression: str | None) -> int:
        path = tmp_path / "reference.h5ad"
        adata.write_h5ad(path, compression=compression)
        return path.stat().st_size

    for compression in (None, "gzip"):
        assert size(portable, compression) < 0.5 * size(reference, compression)
    # Embeddings hardly compress, and these counts do, of 10,000 peaks and bytes: both are 5 MB with gzip.
    assert size(portable, None) < 0.7 * size(bare, None)
