"""Raw counts of reference and query, each on its own peaks, with the peaks' positions in one genome build."""

from __future__ import annotations

from os import PathLike

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .. import _logging as logg
from .._counts import count_blocks
from .._genome_notes import build_name
from ..genomics import Intervals, lift_over, read_chains, require_positions
from ..methods import SideCounts
from ._joint_counts import JointCounts


def side_counts(
    query: AnnData,
    reference: AnnData,
    labeled: NDArray[np.intp],
    joint: JointCounts,
    layers: tuple[str | None, str | None],
    chain: str | PathLike[str] | None,
) -> tuple[SideCounts, SideCounts]:
    """Return the counts of reference and query as they are, of the cells in the order of the joint counts.

    Parameters
    ----------
    query
        Object that is annotated.
    reference
        Object with the labeled cells; the same if there is but one.
    labeled
        Positions of the labeled cells in it.
    joint
        Says which cells are where.
    layers
        With the counts, of the query and of the reference.
    chain
        From the query's genome build to the reference's.

    Raises
    ------
    ValueError
        It is not known of any peak of an object where it lies.
    """
    reference_cells, query_cells = np.flatnonzero(~joint.is_query), np.flatnonzero(joint.is_query)
    if reference is query:
        peaks, X = _on_intervals(query, layers[0], joint.order, "data", remark=True)
        build = build_name(query, "query")
        return (
            SideCounts(sp.csr_matrix(X[reference_cells]), peaks, reference_cells, build),
            SideCounts(sp.csr_matrix(X[query_cells]), peaks, query_cells, build),
        )
    # Positions that were compared before have been remarked on.
    remark = "expected_by_chance" not in joint.coverage
    of_reference = labeled[joint.order[reference_cells]]
    of_query = joint.order[query_cells] - len(labeled)
    known = _on_intervals(reference, layers[1], of_reference, "reference", remark=remark)
    new = _on_intervals(query, layers[0], of_query, "query", remark=remark)
    builds = build_name(reference, "reference"), build_name(query, "query")
    if chain is not None:
        builds = builds[0], builds[0]
        lifted, there = lift_over(new[0], read_chains(chain))
        new = lifted, sp.csr_matrix(new[1][:, there])
    return (
        SideCounts(known[1], known[0], reference_cells, builds[0]),
        SideCounts(new[1], new[0], query_cells, builds[1]),
    )


def _on_intervals(
    adata: AnnData, layer: str | None, cells: NDArray[np.intp], what: str, *, remark: bool
) -> tuple[Intervals, sp.csr_matrix]:
    """Return the peaks of an object that are intervals, and the counts of some of its cells on them."""
    where = require_positions(adata.var, f" of the {what}")
    for text in where.remarks if remark else ():
        logg.warning(f"The {what}: {text}")
    ordered = np.sort(cells)
    blocks = count_blocks(adata, layer, what=what).take(ordered)
    X = sp.csr_matrix(sp.vstack([block[:, where.rows] for block in blocks]))
    return where.intervals, sp.csr_matrix(X[np.searchsorted(ordered, cells)])
