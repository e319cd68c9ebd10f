from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._checks import checked
from .._keys import CELL_EMBEDDING
from .._scanpy import scanpy_by_default
from ..graphs import NearestCells
from ._embedded_cells import embedded_cells
from ._lisi import inverse_simpson
from ._silhouettes import DistanceSums, distance_sums

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from mudata import MuData
    from numpy.typing import ArrayLike, NDArray

NEIGHBORS = 15
"""Neighbors in the graph of clusters and connectivity, the cell itself counted; scIB's."""
LISI_NEIGHBORS = 90
"""Neighbors of cLISI, the cell itself counted, three times the perplexity of 30; scIB's."""
RESOLUTIONS = np.arange(1, 21) / 10
"""Resolutions of Leiden that are tried; scIB's."""


@checked
def integration_report(
    data: AnnData | MuData | pd.DataFrame | ArrayLike | str | PathLike[str],
    labels: str | Sequence[Any] | ArrayLike,
    batch: str | Sequence[Any] | ArrayLike,
    *,
    use_rep: str = CELL_EMBEDDING,
    unlabeled: str | int | Sequence[str] = "unknown",
    rng: int | np.random.Generator = 0,
    mod: str = "atac",
) -> dict[str, float]:
    """Score how well an embedding keeps cell types apart and mixes batches.

    The metrics are those of scIB (Luecken et al. 2022, Nat Methods 19:41), which EpiFoundation reports (Wu et al.
    2025). They are computed with scikit-learn, scanpy and igraph (extra ``leiden``), as in scIB itself; scib-metrics
    would bring JAX (about 400 MB), and has two of them by other definitions: isolated labels among all types, and
    connectivity of the directed graph.

    All distances between cells are taken, in blocks: 6,968 cells take about 10 s on one core, and twice as many up to
    four times as long. The order of the cells changes nothing.

    Parameters
    ----------
    data
        Embedding (n_cells, n_dims). Or an AnnData, or a MuData with the modality ``mod``, as object or path, that has
        it in ``.obsm[use_rep]``. Not changed.
    labels
        Known cell types: one per cell, or with an object a column of ``.obs``.
    batch
        Batches, such as donors or libraries: one per cell, or with an object a column of ``.obs``.
    use_rep
        Slot of ``.obsm`` with the embedding, where an object is given.
    unlabeled
        Labels that stand for none. Cells with such a label, a missing one or a missing batch are left out of
        everything.
    rng
        Seed or generator of Leiden's; the same gives the same numbers.
    mod
        Modality of a MuData that has the embedding.

    Returns
    -------
    ``n_cells``, ``n_labels`` and ``n_batches`` that are scored, and metrics from 0 to 1, of which 1 is best. Of types:

    - ``nmi``: normalized mutual information of types and clusters, the best of Leiden at 20 resolutions from 0.1 to 2,
      on the graph of 15 neighbors that ``scanpy.pp.neighbors`` makes (mean of the entropies as norm).
    - ``label_asw``: mean silhouette width of types, as ``(width + 1) / 2``.
    - ``isolated_label_asw`` and ``isolated_label_f1``: of the types that are in the fewest batches, the mean over them.
      For ``asw``, which EpiFoundation reports, the mean silhouette width of the type's cells against all others, as
      ``(width + 1) / 2``; for ``f1`` the best F1 of a cluster, of all clusters at the resolutions above. Where all
      types are in all batches, none is isolated and scIB takes all.
    - ``clisi``: median over cells of ``(n_labels - LISI) / (n_labels - 1)``, with LISI of types (Korsunsky et al. 2019)
      among 90 neighbors by distance, at a perplexity of 30; a third of the cells, if there are fewer.

    Of batches:

    - ``batch_asw``: mean over types of the mean of ``1 - |width|`` over their cells, with silhouette widths of batches
      among the cells of the type. Types of one batch, or with as many batches as cells, do not count.
    - ``graph_connectivity``: mean over types of the share of their cells in the largest connected part of the graph
      above when it has cells of that type alone.

    NaN is what cannot be told: with a single type ``nmi``, ``label_asw``, ``clisi`` and both of isolated types; with a
    single batch both of isolated types and ``batch_asw``, which also needs a type with several batches.

    Raises
    ------
    ValueError
        Lengths differ, fewer than six cells have a label and a batch, or the embedding has NaN or infinite values.
    TypeError
        ``data`` is neither an array nor AnnData nor MuData.
    KeyError
        There is no such embedding, column or modality.
    FileNotFoundError
        There is no file ``data``.
    ImportError
        igraph is not installed.

    See Also
    --------
    scllmda.metrics.annotation_report : Scores labels instead of an embedding.

    Examples
    --------
    >>> import numpy as np, scllmda as sl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 5)) + 9 * np.repeat([[0], [1]], 50, axis=0)
    >>> report = sl.metrics.integration_report(X, ["B"] * 50 + ["T"] * 50, ["first", "second"] * 50)
    >>> report["nmi"], report["graph_connectivity"], round(report["batch_asw"], 2)
    (1.0, 1.0, 0.88)
    """
    _require_leiden()
    cells = embedded_cells(data, labels, batch, use_rep=use_rep, unlabeled=unlabeled, mod=mod)
    X, label, batches = cells.X, cells.label, cells.batch
    n_labels, n_batches = cells.n_labels, cells.n_batches
    seed = int(np.random.default_rng(rng).integers(2**31))
    graph = _graph(X)
    sums = distance_sums(X, label, batches)
    n_with = np.count_nonzero(sums.sizes, axis=1)
    isolated = np.flatnonzero(n_with == n_with.min()).tolist()
    report: dict[str, Any] = {
        "n_cells": len(X),
        "n_labels": n_labels,
        "n_batches": n_batches,
        **dict.fromkeys(("nmi", "label_asw", "isolated_label_asw", "isolated_label_f1", "clisi"), np.nan),
        "batch_asw": _batch_asw(sums) if n_batches > 1 else np.nan,
        "graph_connectivity": _connectivity(graph, label),
    }
    if n_labels > 1:
        clusters = _clusters(graph, seed)
        report["nmi"] = _best_nmi(label, clusters)
        report["label_asw"] = (sums.by_label().mean() + 1) / 2
        report["clisi"] = _clisi(X, label)
        if n_batches > 1:
            widths = [sums.against_the_rest(i).mean() for i in isolated]
            report["isolated_label_asw"] = (np.mean(widths) + 1) / 2
            report["isolated_label_f1"] = np.mean([_best_f1(label == i, clusters) for i in isolated])
    return {name: float(value) for name, value in report.items()}


def _require_leiden() -> None:
    if find_spec("igraph") is None:
        msg = (
            "integration_report finds clusters by Leiden, which needs igraph. Install it: pip install "
            "'scllmda[leiden]' (or igraph)."
        )
        raise ImportError(msg)


def _graph(X: NDArray[np.float64]) -> sp.csr_matrix:
    """Return scanpy's graph of the nearest cells, by exact distances, (n, n)."""
    scratch = AnnData(obsm={"X": X}, obs=pd.DataFrame(index=np.arange(len(X)).astype(str)))
    with scanpy_by_default() as sc:
        sc.pp.neighbors(scratch, min(NEIGHBORS, len(X) - 1), use_rep="X", transformer="sklearn", random_state=0)
    return sp.csr_matrix(scratch.obsp["connectivities"])


def _clusters(graph: sp.csr_matrix, seed: int) -> list[NDArray[np.intp]]:
    """Return the cluster of each cell, (n,), at each resolution, by Leiden until nothing changes."""
    scratch = AnnData(obs=pd.DataFrame(index=np.arange(graph.shape[0]).astype(str)))
    found = []
    with scanpy_by_default() as sc:
        for resolution in RESOLUTIONS:
            sc.tl.leiden(
                scratch,
                resolution,
                adjacency=graph,
                flavor="igraph",
                directed=False,
                n_iterations=-1,
                random_state=seed,
                key_added="cluster",
            )
            found.append(scratch.obs["cluster"].cat.codes.to_numpy(np.intp))
    return found


def _best_nmi(label: NDArray[np.intp], clusters: list[NDArray[np.intp]]) -> float:
    from sklearn.metrics import normalized_mutual_info_score

    return max(normalized_mutual_info_score(label, cluster) for cluster in clusters)


def _best_f1(is_type: NDArray[np.bool_], clusters: list[NDArray[np.intp]]) -> float:
    """Return the largest F1 of any cluster, taken for a type."""
    best = 0.0
    for cluster in clusters:
        size, inside = np.bincount(cluster), np.bincount(cluster, is_type)
        best = max(best, (2 * inside / (size + is_type.sum())).max())
    return best


def _batch_asw(sums: DistanceSums) -> float:
    widths = [sums.by_batch(i) for i in range(len(sums.sizes))]
    of_types = [1 - np.abs(width).mean() for width in widths if width is not None]
    return float(np.mean(of_types)) if of_types else np.nan


def _clisi(X: NDArray[np.float64], label: NDArray[np.intp]) -> float:
    n_neighbors, n_labels = min(LISI_NEIGHBORS, len(X)), label.max() + 1
    distances, indices = NearestCells(X, n_neighbors - 1).among()
    lisi = inverse_simpson(distances.astype(np.float64), label[indices], n_labels, n_neighbors // 3)
    return float((n_labels - np.median(lisi)) / (n_labels - 1))


def _connectivity(graph: sp.csr_matrix, label: NDArray[np.intp]) -> float:
    from scipy.sparse.csgraph import connected_components

    shares = []
    for i in range(label.max() + 1):
        cells = np.flatnonzero(label == i)
        part = connected_components(graph[cells][:, cells], directed=False)[1]
        shares.append(np.bincount(part).max() / len(cells))
    return float(np.mean(shares))
