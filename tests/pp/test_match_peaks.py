"""A query on the peaks of a reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from mudata import MuData

from scllmda.pp import match_peaks

REFERENCE = ["chr1:0-200", "chr1:300-400", "chr2:0-100"]


def on(names: list[str], X: object = None, **kwargs: object) -> AnnData:
    X = np.arange(1, 2 * len(names) + 1, dtype=np.float32).reshape(2, -1) if X is None else X
    return AnnData(X, obs=pd.DataFrame({"n": [1, 2]}, index=["a", "b"]), var=pd.DataFrame(index=names), **kwargs)


@pytest.fixture
def reference() -> AnnData:
    reference = on(REFERENCE)
    reference.var["gc"] = [0.1, 0.2, 0.3]
    return reference


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr("scllmda._logging.warning", logged.append)
    return logged


def test_reindex(reference: AnnData, warnings: list[str]) -> None:
    query = on(["chr2:0-100", "chr5:1-2", "chr1:300-400", "chr1:0-200"])
    matched = match_peaks(query, reference)
    assert matched.X.toarray().tolist() == [[4, 3, 1], [8, 7, 5]]
    assert matched.X.dtype == np.float32
    assert matched.X.format == "csr"
    pd.testing.assert_frame_equal(matched.var[["gc"]], reference.var)
    assert matched.var["matched"].tolist() == [True] * 3
    assert matched.uns["match_peaks"] == {
        "n_reference": 3,
        "n_query": 4,
        "n_matched_reference": 3,
        "n_matched_query": 3,
        "fraction_of_query_counts": 28 / 36,
        "min_overlap": 0.5,
    }
    assert {type(value) for value in matched.uns["match_peaks"].values()} == {int, float}
    assert warnings == []


def test_overlapping_peaks_are_summed(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr1:100-210", "chr1:390-1000", "chr2:50-90", "chr3:0-100"])
    matched = match_peaks(query, reference)
    assert matched.X.toarray().tolist() == [[3, 0, 4], [13, 0, 9]]
    assert matched.var["matched"].tolist() == [True, False, True]
    found = matched.uns["match_peaks"]
    assert (found["n_matched_reference"], found["n_matched_query"]) == (2, 3)
    assert found["fraction_of_query_counts"] == 29 / 55


@pytest.mark.parametrize("form", ["{}-{}-{}", "{}_{}_{}", "{}:{}-{}"])
@pytest.mark.parametrize("prefix", ["", "chr"])
def test_names_in_other_forms(reference: AnnData, form: str, prefix: str) -> None:
    names = [form.format(f"{prefix}{c}", s, e) for c, s, e in [(2, 0, 100), (1, 0, 200), (1, 300, 400)]]
    matched = match_peaks(on(names), reference, min_overlap=1)
    assert matched.X.toarray().tolist() == [[2, 3, 1], [5, 6, 4]]
    assert matched.var_names.tolist() == REFERENCE


def test_a_peak_goes_to_itself_among_overlapping_ones() -> None:
    reference = on(["chr1:0-1000", "chr1:100-200", "chr1:150-250"])
    matched = match_peaks(on(["chr1:150-250", "chr1:100-200"]), reference)
    assert matched.X.toarray().tolist() == [[0, 2, 1], [0, 4, 3]]


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_kinds_of_counts(reference: AnnData, convert: Callable[[np.ndarray], object]) -> None:
    X = convert(np.float32([[1, 0, 2, 3], [0, 5, 0, 7]]))
    query = on(["chr1:0-90", "chr1:100-210", "chr2:50-90", "chr3:0-100"], X)
    assert match_peaks(query, reference).X.toarray().tolist() == [[1, 0, 2], [5, 0, 0]]


def test_backed_and_paths(reference: AnnData, tmp_path: Path) -> None:
    query = on(["chr1:0-90", "chr2:50-90"], sp.csr_matrix(np.float32([[1, 2], [3, 4]])))
    query.write_h5ad(tmp_path / "query.h5ad")
    reference.write_h5ad(tmp_path / "reference.h5ad")
    expected = match_peaks(query, reference)
    backed = read_h5ad(tmp_path / "query.h5ad", backed="r")
    for found in [
        match_peaks(backed, reference),
        match_peaks(str(tmp_path / "query.h5ad"), tmp_path / "reference.h5ad"),
    ]:
        assert found.X.toarray().tolist() == expected.X.toarray().tolist() == [[1, 0, 2], [3, 0, 4]]
        assert not found.isbacked


def test_what_is_kept(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr2:50-90"])
    query.obsm["X_umap"] = np.arange(4.0).reshape(2, 2)
    query.obsp["connectivities"] = sp.csr_matrix(np.eye(2))
    query.uns["note"] = {"deep": [1]}
    query.layers["raw"] = query.X
    before = query.copy()
    matched = match_peaks(query, reference)
    pd.testing.assert_frame_equal(matched.obs, before.obs)
    np.testing.assert_array_equal(matched.obsm["X_umap"], before.obsm["X_umap"])
    assert matched.obsp["connectivities"].toarray().tolist() == [[1, 0], [0, 1]]
    assert set(matched.uns) == {"note", "match_peaks"}
    assert list(matched.layers) == []

    matched.obs["n"] = 0
    matched.obsm["X_umap"][:] = 0
    matched.uns["note"]["deep"].append(2)
    matched.var["gc"] = 0
    pd.testing.assert_frame_equal(query.obs, before.obs)
    np.testing.assert_array_equal(query.obsm["X_umap"], before.obsm["X_umap"])
    assert query.uns == {"note": {"deep": [1]}}
    assert reference.var["gc"].tolist() == [0.1, 0.2, 0.3]
    assert list(reference.var) == ["gc"]
    assert list(query.var) == []


def test_mudata(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr2:50-90"])
    matched = match_peaks(MuData({"peaks": query}), MuData({"peaks": reference}), mod="peaks")
    assert matched.X.toarray().tolist() == match_peaks(query, reference).X.toarray().tolist()


def test_survives_writing(reference: AnnData, tmp_path: Path) -> None:
    matched = match_peaks(on(["chr1:0-90", "chr2:50-90"]), reference)
    matched.write_h5ad(tmp_path / "matched.h5ad")
    again = read_h5ad(tmp_path / "matched.h5ad")
    assert again.uns["match_peaks"] == matched.uns["match_peaks"]
    assert again.var["matched"].tolist() == [True, False, True]


def test_order_of_the_query_does_not_matter(reference: AnnData) -> None:
    query = on(["chr1:0-90", "chr1:100-210", "chr1:390-1000", "chr2:50-90"])
    found, expected = match_peaks(query[:, ::-1].copy(), reference), match_peaks(query, reference)
    assert found.X.toarray().tolist() == expected.X.toarray().tolist()


def test_features_that_are_no_intervals(warnings: list[str]) -> None:
    matched = match_peaks(on(["CD4", "GATA1", "chr1:0-5"]), on(["GATA1", "MS4A1"]))
    assert matched.X.toarray().tolist() == [[2, 0], [5, 0]]
    assert matched.var["matched"].tolist() == [True, False]
    assert len(warnings) == 1
    assert warnings[0].startswith("Matched by name only (1 names are shared)")


def test_all_names_shared_need_no_intervals(warnings: list[str]) -> None:
    assert match_peaks(on(["CD4", "GATA1"]), on(["GATA1"])).X.toarray().tolist() == [[2], [4]]
    assert warnings == []


def test_nothing_shared_and_no_intervals() -> None:
    with pytest.raises(ValueError, match=r"share no name, and cannot be compared by position\. 1 of 1 peak names"):
        match_peaks(on(["CD4"]), on(REFERENCE))


def test_nothing_matched(reference: AnnData) -> None:
    expected = (
        r"No query peak overlaps .*The query has 2 peaks such as chr1:5000-6000, chr7:1-2, "
        r"the reference 3 peaks such as chr1:0-200.*different genome builds"
    )
    with pytest.raises(ValueError, match=expected):
        match_peaks(on(["chr1:5000-6000", "chr7:1-2"]), reference)


@pytest.mark.parametrize("min_overlap", [-0.1, 1.5, np.nan])
def test_min_overlap_is_a_fraction(reference: AnnData, min_overlap: float) -> None:
    with pytest.raises(ValueError, match="expected a fraction between 0 and 1"):
        match_peaks(reference, reference, min_overlap=min_overlap)


@pytest.mark.parametrize("what", ["query", "reference"])
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_repeated_names(reference: AnnData, what: str) -> None:
    twice = on(["chr1:0-90", "chr1:0-90"])
    with pytest.raises(ValueError, match=f"1 peak names of the {what} repeat"):
        match_peaks(*((twice, reference) if what == "query" else (reference, twice)))


def test_no_counts_at_all(reference: AnnData) -> None:
    matched = match_peaks(on(["chr1:0-90"], np.zeros((2, 1), np.float32)), reference)
    assert matched.uns["match_peaks"]["fraction_of_query_counts"] == 0
    assert matched.X.nnz == 0


def test_real_platforms(shared_data: Path) -> None:
    query = read_h5ad(shared_data / "cao2018_a549_scicar_hg19_atac.h5ad")[:50].copy()
    reference = read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19.h5ad", backed="r")
    matched = match_peaks(query, reference)
    found = matched.uns["match_peaks"]
    assert matched.shape == (50, 29_269)
    assert found["n_matched_reference"] > 5_000
    assert matched.X.sum() == pytest.approx(found["fraction_of_query_counts"] * query.X.sum())
    assert matched.var["matched"].sum() == found["n_matched_reference"]
