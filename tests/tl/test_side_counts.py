"""What a method reads that compares reference and query by where their peaks lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import annotated, pair, together

from scllmda.methods import Method, Result, SideCounts, Task


@dataclass(frozen=True)
class NoConstants:
    """A recipe without any."""


class Reader:
    """A method that keeps what it reads, and labels by the number of counts on each side."""

    def __init__(self) -> None:
        self.sides: tuple[SideCounts, SideCounts]
        self.nowhere: list[int] = []

    def __call__(self, task: Task, recipe: NoConstants) -> Result:
        self.task, self.sides = task, task.sides
        aligned = np.random.default_rng(0).standard_normal((len(task.at), 4)).astype(np.float32)
        aligned[self.nowhere] = 0
        return Result(np.full((int(task.query.sum()), task.n_classes), 1 / task.n_classes), aligned)

    @property
    def method(self) -> Method:
        return Method("reader", self, NoConstants, "Reads", "none", reads=frozenset({"sides"}))


def totals(adata: AnnData, layer: str | None = None) -> np.ndarray:
    X = adata.X if layer is None else adata.layers[layer]
    return np.sort(np.asarray(X.sum(axis=1)).ravel())


def test_counts_as_they_are_on_all_peaks_of_each_side() -> None:
    reference, query = pair()
    reader = Reader()
    done = annotated(query, reference, method=reader.method)
    for side, adata in zip(reader.sides, (reference, query), strict=True):
        assert sorted(side.peaks.names()) == sorted(adata.var_names)
        at = adata.var_names.get_indexer(side.peaks.names())
        np.testing.assert_array_equal(side.counts.sum(axis=0), adata.X[:, at].sum(axis=0))
        np.testing.assert_array_equal(np.sort(side.counts.sum(axis=1).A1), totals(adata))
    assert (np.sort(np.concatenate([side.cells for side in reader.sides])) == np.arange(250)).all()
    coverage = done.uns["scllmda"]["coverage"]
    assert (coverage["n_used"], coverage["n_used_query"], coverage["n_own"]) == (800, 800, 160)


def test_cells_are_those_of_the_labels() -> None:
    reference, query = pair()
    # The largest count of a cell tells its type; a third of the cells have none.
    types = reference.obs["cell_type"].astype(str)
    names, codes = np.unique(types, return_inverse=True)
    X = reference.X.tolil()
    X[:, 0] = 1000.0 * (codes[:, None] + 1)
    reference.X = X.tocsr()
    reference.obs["cell_type"] = types.where(np.arange(150) % 3 > 0, "unknown")
    reader = Reader()
    done = annotated(query, reference, method=reader.method)
    known, _ = reader.sides
    assert len(known.cells) == 100
    told = names[(known.counts.max(axis=1).toarray()[:, 0] / 1000 - 1).astype(int)]
    np.testing.assert_array_equal(told, done.uns["scllmda"]["classes"][reader.task.labels[known.cells]])


def test_layers() -> None:
    reference, query = pair()
    reference.layers["a"], query.layers["b"] = reference.X * 2, query.X * 3
    reader = Reader()
    annotated(query, reference, method=reader.method, layer="b", reference_layer="a")
    for side, expected in zip(reader.sides, (totals(reference, "a"), totals(query, "b")), strict=True):
        np.testing.assert_array_equal(np.sort(side.counts.sum(axis=1).A1), expected)


def test_one_object() -> None:
    adata, reader = together(), Reader()
    annotated(adata, method=reader.method)
    unknown = (adata.obs["cell_type"] == "unknown").to_numpy()
    for side, mine in zip(reader.sides, (~unknown, unknown), strict=True):
        np.testing.assert_array_equal(np.sort(side.counts.sum(axis=1).A1), totals(adata[mine]))
        assert len(side.peaks) == adata.n_vars
    assert (reader.task.query[reader.sides[1].cells]).all()


def test_cells_without_an_open_peak_are_not_among_them() -> None:
    reference, query = pair()
    X = query.X.tolil()
    X[3] = 0
    query.X = X.tocsr()
    reader = Reader()
    done = annotated(query, reference, method=reader.method)
    assert [side.counts.shape[0] for side in reader.sides] == [150, 99]
    assert len(reader.task.at) == 249
    assert done.obs["scllmda"].iloc[3] == "Unassigned"


def test_cells_that_have_no_place_in_what_is_aligned_are_as_without_an_open_peak() -> None:
    reference, query = pair()
    reader = Reader()
    reader.nowhere = [2, 200, 201]
    done = annotated(query, reference, method=reader.method)
    lost = (~done.obsm["X_scllmda_da"].any(axis=1)).nonzero()[0]
    assert len(lost) == 2, "one is of the reference"
    assert (done.obs["scllmda"].to_numpy()[lost] == "Unassigned").all()
    assert (done.obs["scllmda_novelty"].to_numpy()[lost] == 1).all()
    reader.nowhere = list(range(150, 250))
    with pytest.raises(ValueError, match="None of the 100 query cells has an open peak"):
        annotated(query, reference, method=reader.method)


def test_no_peak_need_be_shared_and_that_is_said(warnings: list[str]) -> None:
    reference, query = pair()
    query.var["chrom"] = "chrZ"
    query.var_names = [f"chrZ:{start}-{end}" for start, end in zip(query.var["start"], query.var["end"], strict=True)]
    reader = Reader()
    done = annotated(query, reference, method=reader.method)
    assert done.uns["scllmda"]["coverage"]["n_matched_query"] == 0
    assert [w for w in warnings if "No peak is shared, only their places in the genome connect" in w]
    query.uns["genome"], reference.uns["genome"] = "mm10", "hg38"
    with pytest.raises(ValueError, match="of the genome build 'mm10'"):
        annotated(query, reference, method=reader.method)


def test_a_lifted_query_lies_on_the_reference_s_build(tmp_path: Path) -> None:
    reference, query = pair()
    chain = tmp_path / "aToB.over.chain"
    size, gap = int(query.var["end"].max()) + 10, 700
    blocks = [
        f"chain 1 {name} {2 * size} + 0 {size} {name} {2 * size} + {gap} {gap + size} {i}\n{size}\n"
        for i, name in enumerate(query.var["chrom"].unique())
    ]
    chain.write_text("\n".join(blocks))
    moved = query.var.copy()
    query.var["start"] -= gap
    query.var["end"] -= gap
    kept = (query.var["start"] >= 0).to_numpy()
    query = query[:, kept].copy()
    query.var_names = query.var.astype(str).agg("{0[chrom]}:{0[start]}-{0[end]}".format, axis=1)
    reader = Reader()
    annotated(query, reference, method=reader.method, chain=chain)
    names = pd.Index(moved.astype(str).agg("{0[chrom]}:{0[start]}-{0[end]}".format, axis=1))[kept]
    assert sorted(reader.sides[1].peaks.names()) == sorted(names)
    assert reader.sides[1].counts.sum() == query.X.sum()


@pytest.mark.parametrize("what", ["reference", "query"])
def test_peaks_that_are_nowhere(what: str) -> None:
    objects: dict[str, Any] = dict(zip(("reference", "query"), pair(), strict=True))
    names = [f"peak{i}" for i in range(800)]
    for adata in objects.values():
        adata.var = pd.DataFrame(index=names)
    with pytest.raises(ValueError, match=r"None of the 800 peaks of the reference is an interval by its name"):
        annotated(**{"query": objects["query"], "reference": objects["reference"]}, method=Reader().method)
