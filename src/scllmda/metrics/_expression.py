"""Observed and predicted expression on the same cells and genes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_ENTRIES = 2**21
"""Entries of the dense blocks of genes: 16 MB, of which about ten are in memory at once."""


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of cells × genes, with the names that it comes with."""

    X: Any
    """(n_cells, n_genes): array, or CSC."""
    cells: pd.Index | None
    """Names of the cells, None of an array."""
    genes: pd.Index | None
    """Names of the genes, None of an array."""

    def dense(self, cells: NDArray[np.intp] | slice, genes: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return some cells × some genes."""
        block = self.X[:, genes]
        block = block.toarray() if sp.issparse(block) else block
        return np.asarray(block[cells], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Pair:
    """Observed and predicted expression of the same n cells and m genes."""

    observed: Expression
    predicted: Expression
    cells: tuple[NDArray[np.intp], NDArray[np.intp]]
    """(n,) twice: rows of the cells in either."""
    columns: tuple[NDArray[np.intp], NDArray[np.intp]]
    """(m,) twice: columns of the genes in either."""
    genes: pd.Index
    """Names of the genes, or their numbers."""
    n_absent: int
    """Number of genes that are observed and not predicted."""

    def take(self, cells: NDArray[np.intp]) -> Pair:
        """Return some of the cells."""
        rows = (self.cells[0][cells], self.cells[1][cells])
        return Pair(self.observed, self.predicted, rows, self.columns, self.genes, self.n_absent)

    def blocks(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Yield observed and predicted expression, dense, of some genes at a time."""
        size = max(1, BLOCK_ENTRIES // max(self.observed.X.shape[0], self.predicted.X.shape[0], 1))
        for first in range(0, len(self.genes), size):
            mine, others = (columns[first : first + size] for columns in self.columns)
            yield self.observed.dense(self.cells[0], mine), self.predicted.dense(self.cells[1], others)


def paired(observed: Any, predicted: Any, layer: str | None, predicted_layer: str | None) -> Pair:
    """Return both on their common genes and cells; parameters and errors as :func:`expression_report` has them."""
    mine = _expression(observed, "observed", layer, "layer")
    others = _expression(predicted, "predicted", predicted_layer, "predicted_layer")
    is_named = mine.genes is not None and others.genes is not None
    if not is_named and mine.X.shape != others.X.shape:
        msg = (
            f"Found observed= of shape {mine.X.shape} and predicted= of shape {others.X.shape}; expected the same "
            "cells and genes, in the same order. Pass AnnData or data frames to have them matched by name."
        )
        raise ValueError(msg)
    rows, columns = ((np.arange(n), np.arange(n)) for n in mine.X.shape)
    genes = mine.genes if mine.genes is not None else others.genes
    if is_named:
        assert mine.cells is not None
        assert others.cells is not None
        assert mine.genes is not None
        assert others.genes is not None
        rows = _same_cells(mine.cells, others.cells)
        columns = _common_genes(mine.genes, others.genes)
        genes = mine.genes[columns[0]]
    names = pd.RangeIndex(len(columns[0])) if genes is None else genes
    if not len(rows[0]) or not len(names):
        msg = f"Found {len(rows[0])} cells × {len(names)} genes in observed=; expected some of both."
        raise ValueError(msg)
    return Pair(mine, others, rows, columns, names, mine.X.shape[1] - len(names))


def _expression(data: Any, what: str, layer: str | None, parameter: str) -> Expression:
    if layer is not None and not isinstance(data, AnnData):
        msg = f"Found {parameter}={layer!r} where {what}= is no AnnData; expected None. Pass the layer itself."
        raise ValueError(msg)
    cells = genes = None
    X = data
    if isinstance(data, AnnData):
        if layer is not None and layer not in data.layers:
            found = f"Did not find .layers[{layer!r}] of {what}=, only {sorted(filter(None, data.layers))}."
            msg = f"{found} Pass {parameter}= one of them, or None for .X."
            raise KeyError(msg)
        X, cells, genes = data.X if layer is None else data.layers[layer], data.obs_names, data.var_names
    elif isinstance(data, pd.DataFrame):
        X, cells, genes = data.to_numpy(), data.index.astype(str), data.columns.astype(str)
    for method in ("compute", "to_memory"):
        X = getattr(X, method)() if hasattr(X, method) else X
    if not sp.issparse(X):
        try:
            X = np.asarray(X)
            X = X if X.dtype.kind in "biuf" else X.astype(np.float64)
        except (TypeError, ValueError) as error:
            X = np.zeros(0)
            found = f"Found {what}= without numbers ({error})"
        else:
            found = f"Found {what}= of shape {X.shape}"
        if X.ndim != 2:
            msg = f"{found}; expected cells × genes. Pass an AnnData, a data frame, or a dense or sparse array."
            raise TypeError(msg)
    n_bad = np.count_nonzero(~np.isfinite(X.data if sp.issparse(X) else X))
    if n_bad:
        msg = f"{n_bad} values of {what}= are NaN or infinite; expected numbers. Leave out these cells or genes."
        raise ValueError(msg)
    return Expression(sp.csc_matrix(X) if sp.issparse(X) else X, cells, genes)


def _same_cells(mine: pd.Index, others: pd.Index) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if mine.equals(others):
        return np.arange(len(mine)), np.arange(len(mine))
    if not mine.is_unique or not others.is_unique:
        msg = (
            "Cells of observed= or predicted= repeat by name and are not in the same order; expected unique names. "
            "Call .obs_names_make_unique(), or pass arrays of the same order."
        )
        raise ValueError(msg)
    found = others.get_indexer(mine)
    if len(mine) != len(others) or (found < 0).any():
        first = next(iter(mine.difference(others)), next(iter(others.difference(mine)), ""))
        msg = (
            f"Found {len(mine)} cells in observed= and {len(others)} in predicted=, of which {(found >= 0).sum()} are "
            f"the same by name (first of the others: {first!r}); expected the same cells. Take those of both: "
            "observed = observed[predicted.obs_names]."
        )
        raise ValueError(msg)
    return np.arange(len(mine)), found


def _common_genes(mine: pd.Index, others: pd.Index) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if mine.equals(others):
        return np.arange(len(mine)), np.arange(len(mine))
    common = mine[mine.isin(others)]
    if not len(common):
        msg = (
            f"Found no gene of observed= (first: {mine[0] if len(mine) else None!r}) in predicted= (first: "
            f"{others[0] if len(others) else None!r}) by name; expected the same names. Rename the genes of one."
        )
        raise ValueError(msg)
    twice = common[common.duplicated()].union(others[others.duplicated() & others.isin(common)])
    if len(twice):
        msg = (
            f"{len(twice)} genes that observed= and predicted= have in common repeat (first: {twice[0]!r}); expected "
            "unique names. Keep the first of each: adata = adata[:, ~adata.var_names.duplicated()].copy()."
        )
        raise ValueError(msg)
    columns = np.flatnonzero(mine.isin(others))
    return columns, others.get_indexer(mine[columns])
