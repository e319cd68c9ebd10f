from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _logging as logg
from ..calibration import domain_shift, novelty, rejection_threshold, remoteness
from ..graphs import NearestCells, knn_graph, personalised_propagation, ppmi_graph
from ._registry import get, make_recipe
from ._task import Task

Float = NDArray[np.floating]

NOVELTY_DIMS = 16
"""Leading dimensions in which novelty is a distance; in more of them noise drowns it."""
NOVELTY_RESTART = 0.2
"""Weight of a cell's own distance against its neighbours'."""
LARGE_SHIFT = 2.0
"""Between donors of one platform it was 1.0 to 1.1, between simulated platforms 1.4 to 3.5."""


@dataclass(frozen=True)
class Annotation:
    """Everything an annotation gives, for all cells in their order."""

    proba: Float
    """(n_cells, n_classes); reference cells have 1 at their own class, cells without any open peak 0 throughout."""
    novelty: Float
    """(n_cells,) 0-1; reference cells have 0, cells without any open peak 1."""
    query: NDArray[np.bool_]
    """(n_cells,) whether a cell was to be annotated."""
    rejected: NDArray[np.bool_]
    """(n_cells,) whether a query cell is too novel to be labelled, or has no open peak."""
    aligned: Float
    """(n_cells, k)."""
    connectivities: sp.csr_matrix
    ppmi: sp.csr_matrix
    history: Mapping[str, Any]


def annotate_cells(
    X: Float,
    labels: NDArray[np.integer],
    n_classes: int,
    *,
    method: str,
    recipe: Mapping[str, Any] | None,
    n_neighbors: int,
    max_false_rejection: float | None,
    batch: NDArray[np.integer] | None,
    rng: np.random.Generator,
    device: str,
) -> Annotation:
    """Build the graphs of each domain, annotate the query and score its novelty.

    Parameters
    ----------
    X
        (n_cells, d) representation of reference and query; cells without any open peak are zero throughout and left
        out.
    labels
        (n_cells,) class codes; -1 marks the query.
    n_classes
        Number of classes.
    method, recipe
        See ``METHODS``.
    n_neighbors
        Of the kNN graphs.
    max_false_rejection
        Share of the reference's own cells that are as novel as what is rejected; None rejects none.
    batch
        (n_cells,) codes; read for reference cells only.
    rng
        All randomness.
    device
        Torch device.
    """
    settings = make_recipe(method, recipe)
    n_cells, query = len(X), labels < 0
    seen = np.flatnonzero(X.any(axis=1))
    for what, cells in (("query", query), ("reference", ~query)):
        if not cells[seen].any():
            found = f"None of the {cells.sum()} {what} cells has an open peak"
            msg = f"{found} among those that tell cells apart; expected some."
            raise ValueError(msg)
    domain = query[seen].astype(np.int8)
    connectivities = knn_graph(X[seen], domain, n_neighbors)
    ppmi = ppmi_graph(connectivities, domain, rng=rng)
    batch = None if batch is None else batch[seen]
    task = Task(X[seen], labels[seen], n_classes, connectivities, ppmi, rng, batch, device)
    result = get(method).function(task, settings)

    proba = np.zeros((n_cells, n_classes))
    proba[seen[task.query]] = result.proba
    proba[~query, labels[~query]] = 1
    aligned = np.asarray(result.aligned)
    history = dict(result.history)
    novel, rejected = query.astype(float), query.copy()
    of_reference, of_query, shift = _novelty(task, aligned[:, :NOVELTY_DIMS], result.proba.argmax(axis=1), n_neighbors)
    history["novelty_shift"] = shift
    if shift > LARGE_SHIFT:
        logg.warning(
            f"Most predicted types lie {shift:.1f} times as far from the reference's cells as those from one another. "
            "Either the platforms differ much, or the query has none of the reference's types: novelty does not count "
            "what all have in common, and cannot tell the two apart. Look at sl.pl.transfer_umap and at marker peaks."
        )
    novel[seen[task.query]] = of_query
    rejected[seen] = False
    if max_false_rejection is not None:
        history["novelty_threshold"] = rejection_threshold(of_reference, max_false_rejection)
        rejected[seen[task.query]] = of_query > history["novelty_threshold"]
    full = np.zeros((n_cells, aligned.shape[1]), dtype=np.float32)
    full[seen] = aligned
    return Annotation(
        proba,
        novel,
        query,
        rejected,
        full,
        _expand(connectivities, seen, n_cells),
        _expand(ppmi, seen, n_cells),
        history,
    )


def _novelty(task: Task, X: Float, predicted: NDArray[np.integer], n_neighbors: int) -> tuple[Float, Float, float]:
    """Return the novelty of reference and of query cells, and the shift in distance between the domains.

    Remoteness is smoothed over each domain's graph: types are novel.
    """
    known = ~task.query
    remote = np.empty((len(X), 2))
    near = NearestCells(X[known], n_neighbors)
    remote[known], remote[task.query] = remoteness(near.among(), near.of(X[task.query]))
    smooth = personalised_propagation(task.connectivities, remote, restart=NOVELTY_RESTART)
    shift = domain_shift(smooth[known], smooth[task.query], task.labels[known], predicted)
    return *novelty(smooth[known], smooth[task.query] / shift), float(shift[0])


def _expand(graph: sp.csr_matrix, cells: NDArray[np.integer], n_cells: int) -> sp.csr_matrix:
    """Return the graph among all cells, where ``cells`` are those it was made of."""
    if len(cells) == n_cells:
        return graph
    indptr = np.zeros(n_cells + 1, dtype=graph.indptr.dtype)
    indptr[cells + 1] = np.diff(graph.indptr)
    indices = cells.astype(graph.indices.dtype)[graph.indices]
    return sp.csr_matrix((graph.data, indices, indptr.cumsum(dtype=indptr.dtype)), shape=(n_cells, n_cells))
