from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._checks import checked
from ._gene_scores import gene_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData
    from numpy.typing import ArrayLike


@checked
def expression_report(
    observed: AnnData | pd.DataFrame | ArrayLike | sp.spmatrix,
    predicted: AnnData | pd.DataFrame | ArrayLike | sp.spmatrix,
    *,
    labels: str | Sequence[Any] | ArrayLike | None = None,
    unlabeled: str | int | Sequence[str] = "unknown",
    layer: str | None = None,
    predicted_layer: str | None = None,
) -> dict[str, float]:
    """Score predicted expression against observed expression.

    Correlations are taken for each gene over cells and then averaged, as EpiFoundation reports them (Wu et al. 2025).
    :func:`expression_by_gene` has them for each gene.

    With ``labels``, the same figures stand beside for a prediction that knows cell types alone: the mean of a cell's
    type. It shows what predicted expression says beyond an annotation. The mean is that of other cells of the type, in
    five parts, since a mean that the cell is itself part of foresees its noise: on SNARE-seq cortex (3,431 cells, 23
    types) the mean Spearman correlation is .134 with it, .081 with other parts, and .090 with means of 3,537 training
    cells. To have the latter, pass them as the prediction: ``expression_report(observed,
    means.loc[labels].to_numpy())``.

    Parameters
    ----------
    observed
        Expression, cells × genes, dense or sparse; mostly the logarithm of counts per 10,000, since the mean squared
        error and Pearson's correlation depend on the scale. An AnnData, a data frame or an array.
    predicted
        Prediction on the same scale. If both have names (AnnData or data frames), cells and genes are matched by name:
        cells have to be the same, in any order, and genes that one alone has are left out. Arrays have the same shape.
    labels
        Cell types, for what they alone would reach: one per cell of ``observed``, or a column of its ``.obs``. Cells
        without a label are then left out of everything.
    unlabeled
        Labels that stand for none.
    layer
        Layer of ``observed`` to compare, ``.X`` if None.
    predicted_layer
        Layer of ``predicted`` to compare, ``.X`` if None.

    Returns
    -------
    ``n_cells`` and ``n_genes`` that are compared, and ``n_genes_absent`` (observed, not predicted, and left out).

    - ``mse``: mean squared error over cells and genes.
    - ``pearson``, ``spearman``: mean over genes of the correlation over cells. A gene that is observed to be the same
      in all cells has no correlation and is left out of these means; ``n_genes_constant`` counts such genes. A gene
      that is predicted to be the same in all cells counts as 0, so that a method cannot gain by being silent;
      ``n_genes_constant_predicted`` counts those, of the genes in the means. NaN if no gene varies.
    - with ``labels`` also ``n_labels`` and ``mse_labels``, ``pearson_labels`` and ``spearman_labels``, of the
      prediction by types.

    Raises
    ------
    ValueError
        Different shapes or cells, no common gene, repeated names that cannot be matched, values that are NaN or
        infinite, labels of another number or of a single type, or a layer where there is no AnnData.
    TypeError
        ``observed`` or ``predicted`` is no matrix of numbers.
    KeyError
        No such layer or column.

    See Also
    --------
    scllmda.metrics.expression_by_gene : The same for each gene.
    scllmda.tl.predict_expression : Predicts expression.

    Examples
    --------
    >>> import numpy as np, scllmda as sl
    >>> observed = np.array([[0, 2], [1, 0], [3, 1]])
    >>> report = sl.metrics.expression_report(observed, np.array([[0, 2], [2, 1], [4, 0]]))
    >>> round(report["spearman"], 2), round(report["mse"], 2)
    (0.75, 0.67)
    """
    scores = gene_scores(
        observed, predicted, labels=labels, unlabeled=unlabeled, layer=layer, predicted_layer=predicted_layer
    )
    table = scores.table
    varying = table[~table["is_constant"]]
    report = {
        "n_cells": scores.n_cells,
        "n_genes": len(table),
        "n_genes_absent": scores.n_absent,
        "n_genes_constant": len(table) - len(varying),
        "n_genes_constant_predicted": varying["is_constant_predicted"].sum(),
    }
    for suffix in ("", "_labels") if scores.n_labels is not None else ("",):
        report[f"mse{suffix}"] = table[f"mse{suffix}"].mean()
        for name in ("pearson", "spearman"):
            report[name + suffix] = varying[name + suffix].fillna(0).mean()
    if scores.n_labels is not None:
        report["n_labels"] = scores.n_labels
    return {name: float(value) for name, value in report.items()}
