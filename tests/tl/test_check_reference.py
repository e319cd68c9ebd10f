"""What a check of a reference finds in references with planted faults, and what it writes and says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from mudata import MuData
from tests._advice import code_in
from tests._objects import added, pair, snapshot

import scllmda as sl
from scllmda import methods
from scllmda._files import columns_of_their_own

WRITTEN = {
    ("obs", "reference_check_contradicted"),
    ("obs", "reference_check_chance"),
    ("obs", "reference_check_suggested"),
    ("uns", "reference_check"),
}


def shuffled(adata: AnnData, share: float, seed: int = 0, key: str = "cell_type") -> np.ndarray:
    """Give a share of the cells another label, drawn by the labels' shares; return which."""
    rng = np.random.default_rng(seed)
    labels = adata.obs[key].astype(str).to_numpy()
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[rng.permutation(len(labels))[: round(share * len(labels))]] = True
    found = labels.copy()
    for cell in np.flatnonzero(chosen):
        found[cell] = rng.choice(labels[labels != labels[cell]])
    adata.obs[key] = pd.Categorical(found)
    return chosen


def half_of(adata: AnnData, kind: str) -> AnnData:
    """Split a type into two at random, which nothing tells apart."""
    labels = adata.obs["cell_type"].astype(str).to_numpy(object)
    mine = np.flatnonzero(labels == kind)
    labels[mine[::2]] = f"{kind}/2"
    adata.obs["cell_type"] = pd.Categorical(labels)
    return adata


@pytest.fixture(scope="module")
def reference() -> AnnData:
    return sl.datasets.simulate()[0]


def test_finds_shuffled_labels(reference: AnnData) -> None:
    reference = reference.copy()
    truth = reference.obs["cell_type"].astype(str).to_numpy()
    assert sl.tl.check_reference(reference) is None
    assert not reference.obs["reference_check_contradicted"].any()
    wrong = shuffled(reference, 0.1)
    sl.tl.check_reference(reference)
    found = reference.obs["reference_check_contradicted"].to_numpy()
    assert found.dtype == bool
    assert wrong[found].mean() >= 0.95
    assert found[wrong].mean() >= 0.9
    assert (reference.obs["reference_check_suggested"].astype(str).to_numpy() == truth)[found].mean() > 0.95
    assert reference.uns["reference_check"]["numbers"]["share_wrong"] == pytest.approx(0.1, abs=0.03)


def test_a_type_that_was_split_at_random_is_hard_to_tell_apart(reference: AnnData, warnings: list[str]) -> None:
    reference = half_of(reference.copy(), "B")
    sl.tl.check_reference(reference)
    pairs = sl.get.reference_check(reference, "pairs")
    assert pairs.loc[pairs["is_hard"], ["first", "second"]].to_numpy().tolist() == [["B", "B/2"]]
    assert pairs["error_low"].iloc[0] < pairs["error"].iloc[0] < pairs["error_high"].iloc[0]
    assert 0.35 < pairs["error"].iloc[0] < 0.65
    assert not reference.obs["reference_check_contradicted"].any(), "what cannot be told apart is not contradicted"
    (said,) = [text for text in warnings if "hard to tell apart" in text]
    assert "'B' and 'B/2'" in said


def test_labels_that_have_nothing_to_do_with_cells() -> None:
    reference = pair()[0]
    reference.obs["cell_type"] = np.random.default_rng(0).permutation(reference.obs["cell_type"].astype(str))
    sl.tl.check_reference(reference)
    assert not reference.obs["reference_check_contradicted"].any()
    pairs = sl.get.reference_check(reference, "pairs")
    assert pairs["is_hard"].all()


def test_errors_of_pairs_are_counted_from_posteriors() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 50, 20])
    proba = rng.dirichlet(np.ones(3), 100) + np.eye(3)[labels]
    chance = np.where(np.arange(100) % 10 == 0, 0.9, 0.1)
    found = methods.pair_errors(methods.LabelCheck(proba, chance, 0.1, proba[::-1]), labels)
    assert [(e.first, e.second) for e in found] == [(0, 1), (0, 2), (1, 2)]
    for e in found:
        shares = []
        for mine, other in ((e.first, e.second), (e.second, e.first)):
            cells = [i for i in range(100) if labels[i] == mine and chance[i] <= 0.5]
            shares.append(np.mean([proba[i, other] > proba[i, mine] for i in cells]))
        assert e.error == pytest.approx(np.mean(shares))
        assert 0 <= e.low <= e.error <= e.high <= 1


def test_types_of_few_cells_of_one_batch_and_of_other_depth(reference: AnnData, warnings: list[str]) -> None:
    reference = reference.copy()
    labels = reference.obs["cell_type"].astype(str).to_numpy()
    # All plasma cells are of one batch, 12 CD4 T cells are left, and B cells have a third of their counts.
    reference.obs["batch"] = np.where(labels == "Plasma", "b", np.where(np.arange(len(labels)) % 2, "a", "b"))
    X = reference.X.toarray()
    X[labels == "B"] *= np.random.default_rng(0).random(((labels == "B").sum(), reference.n_vars)) < 1 / 3
    reference.X = sp.csr_matrix(X)
    kept = np.ones(len(labels), dtype=bool)
    kept[np.flatnonzero(labels == "CD4 T")[12:]] = False
    reference = reference[kept].copy()
    sl.tl.check_reference(reference, batch_key="batch")
    types = sl.get.reference_check(reference)
    assert types.index[types["is_small"]].tolist() == ["CD4 T"]
    assert types.loc["CD4 T", "n_cells"] == 12
    depth = pd.Series(np.diff(reference.X.indptr)).groupby(reference.obs["cell_type"].astype(str).to_numpy()).median()
    pd.testing.assert_series_equal(types["open_peaks_median"], depth, check_names=False)
    assert types["depth_ratio"].idxmin() == "B"
    numbers = reference.uns["reference_check"]["numbers"]
    assert numbers["types_of_one_batch"].tolist() == ["Plasma"]
    batches = sl.get.reference_check(reference, "batches")
    table = pd.crosstab(reference.obs["cell_type"].astype(str), reference.obs["batch"])
    for row in batches.itertuples():
        assert row.n_cells == table.loc[row.type, row.batch]
        assert row.share_of_type == pytest.approx(row.n_cells / table.loc[row.type].sum())
    assert len(batches) == (table > 0).to_numpy().sum()
    said = " ".join(warnings)
    assert "in one batch alone, which cannot be told from the batch: 'Plasma'" in said
    assert "'CD4 T' (12)" in said
    assert "Depths differ more than 2-fold from the usual one, of types: 'B'" in said


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_types_and_batches_go_together(share: float, expected: float) -> None:
    reference = pair()[0]
    codes = pd.factorize(reference.obs["cell_type"].astype(str))[0]
    other = np.random.default_rng(1).integers(0, 4, len(codes))
    reference.obs["batch"] = np.where(np.random.default_rng(0).random(len(codes)) < share, codes, other).astype(str)
    sl.tl.check_reference(reference, batch_key="batch")
    assert reference.uns["reference_check"]["numbers"]["cramers_v"] == pytest.approx(expected, abs=0.1)


def test_unlabeled_cells_are_left_out() -> None:
    reference = pair()[0]
    labels = reference.obs["cell_type"].astype(object)
    labels.iloc[:20], labels.iloc[20:25] = "unknown", None
    reference.obs["cell_type"] = labels
    sl.tl.check_reference(reference)
    cells = sl.get.reference_check(reference, "cells")
    assert cells["chance"].isna().to_numpy().nonzero()[0].tolist() == list(range(25))
    assert cells["suggested"].isna().sum() == 25
    assert not cells["contradicted"].iloc[:25].any()
    alone = pair()[0][25:].copy()
    sl.tl.check_reference(alone)
    np.testing.assert_array_equal(cells["chance"].to_numpy()[25:], alone.obs["reference_check_chance"])


def test_writes_its_slots_alone_and_survives_a_file(tmp_path: Path) -> None:
    reference = half_of(pair()[0], "B")
    before = snapshot(reference)
    copy = sl.tl.check_reference(reference, batch_key="batch", copy=True)
    assert added(before, snapshot(reference)) == set()
    assert added(before, snapshot(copy)) == WRITTEN
    copy.write_h5ad(tmp_path / "a.h5ad")
    copy.write_zarr(tmp_path / "a.zarr")
    for table in ("types", "pairs", "batches", "cells"):
        for name in ("a.h5ad", "a.zarr"):
            found = sl.get.reference_check(tmp_path / name, table)
            pd.testing.assert_frame_equal(found, sl.get.reference_check(copy, table), check_index_type=False)
    again = sl.tl.check_reference(reference, batch_key="batch", copy=True)
    pd.testing.assert_frame_equal(sl.get.reference_check(again, "cells"), sl.get.reference_check(copy, "cells"))


@pytest.mark.parametrize("kind", ["dense", "csc", "backed", "MuData"])
def test_every_kind_of_object(kind: str, tmp_path: Path) -> None:
    reference = pair()[0]
    expected = sl.tl.check_reference(reference, copy=True).obs["reference_check_chance"]
    if kind == "MuData":
        with columns_of_their_own():
            mdata = MuData({"atac": reference})
        mdata.obs["type"] = mdata["atac"].obs["cell_type"].astype(str)
        sl.tl.check_reference(mdata, "type")
        assert sl.get.reference_check(mdata, "cells")["label"].tolist() == mdata.obs["type"].tolist()
        found = mdata["atac"]
    else:
        found = reference
        if kind == "backed":
            reference.write_h5ad(tmp_path / "a.h5ad")
            found = read_h5ad(tmp_path / "a.h5ad", backed="r+")
        else:
            found.X = reference.X.toarray() if kind == "dense" else sp.csc_matrix(reference.X)
        sl.tl.check_reference(found)
    np.testing.assert_allclose(found.obs["reference_check_chance"], expected, atol=1e-6)


def test_advice_works_when_it_is_followed(reference: AnnData, warnings: list[str]) -> None:
    query, reference = sl.datasets.simulate()[1], half_of(reference.copy(), "B")
    labels = reference.obs["cell_type"].astype(str).to_numpy(object)
    shuffled(reference, 0.05)
    reference = reference[(labels != "Plasma") | (np.cumsum(labels == "Plasma") <= 12)].copy()
    sl.tl.check_reference(reference)
    names = {"reference": reference, "query": query, "sl": sl}
    for words, advice in (
        ("hard to tell apart", "where cells do not tell: <code>, then sl.tl.annotate("),
        ("contradicts the labels", "To leave them out: <code>."),
        ("of which little can be learned", "or leave them out: <code>."),
    ):
        (message,) = [text for text in warnings if words in text]
        exec(code_in(message, advice), names)
    warnings.clear()
    sl.tl.check_reference(names["reference"])
    assert ["hard to tell apart" in text for text in warnings] == [True], "which no other name in a new column changes"
    exec("sl.tl.annotate(query, reference, labels_key=['coarse', 'cell_type'], min_probability=0.95)", names)
    assert "B or B/2" in set(query.obs["scllmda"])


def test_errors() -> None:
    reference = pair()[0]
    with pytest.raises(KeyError, match="Did you mean 'cell_type'"):
        sl.tl.check_reference(reference, "celltype")
    one = reference.copy()
    one.obs["cell_type"] = "B"
    with pytest.raises(ValueError, match="expected at least two cell types"):
        sl.tl.check_reference(one)
    one.obs["cell_type"] = "unknown"
    with pytest.raises(ValueError, match="No cell is labeled"):
        sl.tl.check_reference(one)
    one.obs = reference.obs.assign(batch="a")
    with pytest.raises(ValueError, match=r"Leave batch_key= out"):
        sl.tl.check_reference(one, batch_key="batch")
    with pytest.raises(ValueError, match="has no counts"):
        sl.tl.check_reference(AnnData(obs=reference.obs, var=reference.var))
    with pytest.raises(KeyError, match=r"Run sl\.tl\.check_reference first"):
        sl.get.reference_check(reference)
    sl.tl.check_reference(reference)
    with pytest.raises(KeyError, match="again with batch_key="):
        sl.get.reference_check(reference, "batches")


def test_on_bone_marrow(shared_data: Path) -> None:
    """A quarter of the cells, 16 types: of 10 % shuffled labels .8 are found, and pairs that are hard to tell apart."""
    marrow = read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")[::4].copy()
    wrong = shuffled(marrow, 0.1)
    sl.tl.check_reference(marrow)
    found = marrow.obs["reference_check_contradicted"].to_numpy()
    assert wrong[found].mean() >= 0.8
    assert found[wrong].mean() >= 0.8
    pairs = sl.get.reference_check(marrow, "pairs")
    hard = {frozenset(names) for names in pairs.loc[pairs["is_hard"], ["first", "second"]].to_numpy()}
    assert {frozenset(("CD14.Mono.1", "CD14.Mono.2")), frozenset(("CLP.1", "CLP.2"))} <= hard
    assert len(hard) < 0.2 * len(pairs)
