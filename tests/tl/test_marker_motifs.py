"""Motifs of marker peaks: what was planted is found, what was not is not; slots, statistics, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.stats import hypergeom
from tests._motifs import of_word, planted, with_markers, with_others
from tests._objects import added, snapshot

import scllmda as sl
from scllmda._files import columns_of_their_own
from scllmda.genomics import find_motif_sites, gc_content, peak_strata, read_motifs

KEY = "cell_type_marker_motifs"


@pytest.fixture(scope="module")
def result() -> AnnData:
    adata = with_markers()
    sl.tl.marker_motifs(adata, "cell_type", motifs=with_others(adata))
    return adata


def test_planted_motifs_come_first_in_every_type(result: AnnData) -> None:
    activity = result.uns["simulation"]["activity"]
    types = result.uns["simulation"]["cell_types"].tolist()
    table = sl.get.marker_motifs(result, KEY)
    first = table.drop_duplicates("group").set_index("group")["motif"]
    # Types are compared with each other: first is what opens peaks of this type more than those of the others.
    contrast = activity - activity.mean(axis=0)
    assert first.to_dict() == {name: f"planted {contrast[i].argmax()}" for i, name in enumerate(types)}
    assert table["motif"].str.startswith("other").mean() <= 0.05


def test_random_peaks_have_no_motifs(result: AnnData) -> None:
    """Of 20 draws of peaks that have nothing in common but GC content, none has a motif at an FDR of 5 %."""
    gc = gc_content(result.var["sequence"])
    chosen = {}
    for draw in range(20):
        rng = np.random.default_rng(draw)
        weight = np.exp(20 * (gc - gc.mean()))
        chosen[f"draw {draw}"] = rng.choice(result.var_names, 300, replace=False, p=weight / weight.sum())
    sl.tl.marker_motifs(result, peaks=chosen, motifs=with_others(result), key_added="random")
    found = result.uns.pop("random")
    assert (found["fdr"] > 0.05).all()
    assert 0.02 < (found["pvalue"] < 0.05).mean() < 0.06


def test_permuted_labels_have_no_marker_peaks_to_begin_with(result: AnnData) -> None:
    adata = result.copy()
    adata.obs["permuted"] = np.random.default_rng(0).permutation(adata.obs["cell_type"].to_numpy())
    sl.tl.marker_peaks(adata, "permuted")
    with pytest.raises(ValueError, match=r"None of the labels .* has a marker peak at fdr=0\.05"):
        sl.tl.marker_motifs(adata, "permuted", motifs=with_others(adata))


def test_p_values_are_of_sums_of_hypergeometric_numbers(result: AnnData) -> None:
    """Against the distribution of the number of marker peaks with a motif, convolved over the strata."""
    adata = result.copy()
    rng = np.random.default_rng(0)
    rows = rng.choice(adata.n_vars, 120, replace=False)
    motifs = planted(adata)
    sl.tl.marker_motifs(adata, peaks={"mine": adata.var_names[rows]}, motifs=motifs, key_added="mine")
    found = adata.uns["mine"]
    openness = np.asarray((adata.X > 0).sum(axis=0)).ravel()
    strata = peak_strata(gc_content(adata.var["sequence"]), openness.astype(float))
    has = find_motif_sites(adata.var["sequence"].tolist(), read_motifs(motifs)).present().toarray()
    is_mine = np.isin(np.arange(adata.n_vars), rows)
    for m in range(len(motifs)):
        chance, expected, variance, background = np.ones(1), 0.0, 0.0, 0.0
        for s in np.unique(strata):
            here = strata == s
            N, n, k = here.sum(), (here & is_mine).sum(), has[here, m].sum()
            law = hypergeom(N, k, n)
            chance = np.convolve(chance, law.pmf(np.arange(n + 1)))
            expected, variance = expected + law.mean(), variance + law.var()
            background += n * has[here & ~is_mine, m].mean()
        a = has[is_mine, m].sum()
        exact = min(1, 2 * (chance[a:].sum() if a > expected else chance[: a + 1].sum()))
        np.testing.assert_allclose(found["pvalue"][m, 0], exact, rtol=0.05)
        np.testing.assert_allclose(found["score"][m, 0], (a - expected) / np.sqrt(variance), rtol=1e-4)
        np.testing.assert_allclose(found["fraction"][m, 0], a / len(rows), rtol=1e-5)
        np.testing.assert_allclose(found["background"][m, 0], background / len(rows), rtol=1e-4)
    assert found["motifs"]["n_peaks"].tolist() == has.sum(axis=0).tolist()


def test_all_that_is_written(result: AnnData) -> None:
    adata = with_markers()
    before = snapshot(adata)
    copy = sl.tl.marker_motifs(adata, "cell_type", motifs=with_others(adata), copy=True)
    assert added(before, snapshot(adata)) == set()
    assert added(before, snapshot(copy)) == {("uns", KEY)}
    found = copy.uns[KEY]
    n = len(with_others(adata))
    assert found["params"] == {
        "groupby": "cell_type",
        "motifs": "dict",
        "markers_key": "cell_type_marker_peaks",
        "fdr": 0.05,
        "min_log2fc": 0,
        "p_value": 5e-5,
    }
    assert found["groups"].tolist() == copy.uns["cell_type_marker_peaks"]["groups"].tolist()
    table = sl.get.marker_peaks(copy, "cell_type_marker_peaks")
    assert found["n_peaks"].tolist() == table.groupby("group").size().loc[found["groups"]].tolist()
    assert list(found["motifs"].columns) == ["name", "family", "n_peaks", "cluster"]
    assert found["counts"].shape == (n, 4, 12)
    for name in ("log2fc", "fraction", "background", "score", "pvalue", "fdr"):
        assert found[name].shape == (n, 6)
        np.testing.assert_array_equal(found[name], result.uns[KEY][name], err_msg="the same each time")


def test_files(result: AnnData, tmp_path: Path) -> None:
    expected = sl.get.marker_motifs(result, KEY, fdr=1, best_of_cluster=False)
    result.write_h5ad(tmp_path / "a.h5ad")
    result.write_zarr(tmp_path / "a.zarr")
    for read in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        pd.testing.assert_frame_equal(
            sl.get.marker_motifs(read, KEY, fdr=1, best_of_cluster=False), expected, check_dtype=False
        )


def change(adata: AnnData, kind: str, folder: Path) -> Any:
    if kind == "mudata":
        with columns_of_their_own():
            return MuData({"atac": adata})
    if kind == "backed":
        adata.write_h5ad(folder / "a.h5ad")
        return ad.read_h5ad(folder / "a.h5ad", backed="r")
    if kind == "order":
        return adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()[:, ::-1].copy()
    adata.X = {"dense": adata.X.toarray(), "csc": sp.csc_matrix(adata.X)}[kind]
    return adata


@pytest.mark.parametrize("kind", ["dense", "csc", "backed", "mudata", "order"])
def test_the_form_of_the_object_changes_nothing(kind: str, result: AnnData, tmp_path: Path) -> None:
    data = change(with_markers(), kind, tmp_path)
    sl.tl.marker_motifs(data, "cell_type", motifs=with_others(result))
    found = sl.get.marker_motifs(data, KEY, fdr=1)
    pd.testing.assert_frame_equal(found, sl.get.marker_motifs(result, KEY, fdr=1), rtol=1e-6)


def test_dna_of_a_genome(tmp_path: Path) -> None:
    fasta = tmp_path / "genome.fa"
    adata, _ = sl.datasets.simulate(n_reference=60, n_peaks=200, fasta=fasta)
    peaks = {"first": adata.var_names[:50]}
    sl.tl.marker_motifs(adata, peaks=peaks, motifs=planted(adata), key_added="stored")
    del adata.var["sequence"]
    sl.tl.marker_motifs(adata, peaks=peaks, motifs=planted(adata), key_added="read", genome=fasta)
    assert "sequence" not in adata.var
    np.testing.assert_array_equal(adata.uns["read"]["pvalue"], adata.uns["stored"]["pvalue"])


def test_unknown_dna_takes_no_part(result: AnnData, warnings: list[str]) -> None:
    adata, peaks = result.copy(), {"mine": result.var_names[:100]}
    adata.var["sequence"] = adata.var["sequence"].where(np.arange(adata.n_vars) >= 50, "NNNN")
    sl.tl.marker_motifs(adata, peaks=peaks, motifs=planted(adata), key_added="mine")
    assert warnings == [f"50 of {adata.n_vars} peaks have no known base, and take no part."]
    without = result[:, 50:].copy()
    sl.tl.marker_motifs(without, peaks={"mine": result.var_names[50:100]}, motifs=planted(adata), key_added="mine")
    np.testing.assert_array_equal(adata.uns["mine"]["score"], without.uns["mine"]["score"])


def test_labels_without_marker_peaks(result: AnnData, warnings: list[str]) -> None:
    adata, motifs = result.copy(), planted(result)
    sl.tl.marker_motifs(adata, peaks={"none": [], "some": adata.var_names[:90]}, motifs=motifs, key_added="mine")
    assert [text for text in warnings if "'none' (0)" in text]
    assert np.isnan(adata.uns["mine"]["pvalue"][:, 0]).all()
    assert np.isfinite(adata.uns["mine"]["fdr"][:, 1]).all()
    assert sl.get.marker_motifs(adata, "mine", fdr=1)["group"].unique().tolist() == ["some"]


def test_the_best_motif_of_each_cluster_is_shown() -> None:
    adata = with_markers()
    words = adata.uns["simulation"]["motifs"]
    twins = {f"{word} again": of_word(word[:-1]) for word in words}
    sl.tl.marker_motifs(adata, "cell_type", motifs={**planted(adata), **twins})
    whole = sl.get.marker_motifs(adata, KEY, best_of_cluster=False)
    best = sl.get.marker_motifs(adata, KEY)
    assert adata.uns[KEY]["motifs"]["cluster"].nunique() == len(words)
    assert len(best) == len(whole.groupby(["group", "cluster"])) < len(whole)
    first = whole.sort_values("pvalue", kind="stable").groupby(["group", "cluster"])["pvalue"].min()
    assert best.set_index(["group", "cluster"])["pvalue"].sort_index().equals(first.sort_index())
    assert sl.get.marker_motifs(adata, KEY, group=["B", "CD4 T"], n_motifs=1)["group"].tolist() == ["B", "CD4 T"]


def without_markers(adata: AnnData) -> None:
    del adata.uns["cell_type_marker_peaks"]


def without_dna(adata: AnnData) -> None:
    del adata.var["sequence"]


def unknown_dna(adata: AnnData) -> None:
    adata.var["sequence"] = "NNNN"


REFUSED = {
    "no sequences": (without_dna, {}, KeyError, r"Did not find \.var\['sequence'\].*Run sl\.pp\.peak_sequences"),
    "no known base": (
        unknown_dna,
        {},
        ValueError,
        r"None of the 3000 peaks .* has a known base, by \.var",
    ),
    "no marker peaks": (without_markers, {}, KeyError, r"Run sl\.tl\.marker_peaks\(adata, 'cell_type'\) first"),
    "unknown peaks": (None, {"peaks": {"a": ["chr9:1-2"]}}, ValueError, r"1 of 1 peaks of peaks\['a'\] are none of"),
    "no peaks": (None, {"peaks": {"a": []}}, ValueError, r"Found no peak in peaks="),
    "no effect": (None, {"peaks": {"a": []}, "n_peaks": 5}, ValueError, "n_peaks=5 has no effect with peaks="),
    "names alone": (None, {"peaks": ["chr9:1-2"]}, TypeError, r"expected lists of names of peaks by label"),
    "no genome": (without_dna, {"genome": "nothing.fa"}, FileNotFoundError, "nothing.fa"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    spoil, options, error, message = REFUSED[name]
    adata = with_markers()
    if spoil is not None:
        spoil(adata)
    before = snapshot(adata)
    with pytest.raises(error, match=message):
        sl.tl.marker_motifs(adata, "cell_type", **{"motifs": planted(adata), **options})
    assert added(before, snapshot(adata)) == set()


def test_one_label() -> None:
    adata = with_markers()
    adata.obs["one"] = "B"
    with pytest.raises(ValueError, match=r"The only label .* is 'B'; expected at least two"):
        sl.tl.marker_peaks(adata, "one")
    with pytest.raises(KeyError, match=r"Did not find marker peaks 'one_marker_peaks'"):
        sl.tl.marker_motifs(adata, "one", motifs=planted(adata))


def test_motifs_of_another_species() -> None:
    pytest.importorskip("pyjaspar")
    adata = with_markers()[:, :50].copy()
    adata.uns["genome"] = "BDGP6"
    peaks = {"mine": adata.var_names[:20]}
    message = r"The motifs are of vertebrates and the peaks of 'BDGP6' .*, of insects; .* or tax_group='insects'"
    with pytest.raises(ValueError, match=message):
        sl.tl.marker_motifs(adata, peaks=peaks, motifs="JASPAR2014", tax_group="vertebrates")
    sl.tl.marker_motifs(adata, peaks=peaks, motifs="JASPAR2014", key_added="mine")
    assert "ara" in set(adata.uns["mine"]["motifs"]["name"])
    adata.uns["genome"] = "mm10"
    sl.tl.marker_motifs(adata, peaks=peaks, motifs="JASPAR2014", key_added="mine")
    assert "Gata1" in set(adata.uns["mine"]["motifs"]["name"])
