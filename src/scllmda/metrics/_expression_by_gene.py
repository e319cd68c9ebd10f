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
def expression_by_gene(
    observed: AnnData | pd.DataFrame | ArrayLike | sp.spmatrix,
    predicted: AnnData | pd.DataFrame | ArrayLike | sp.spmatrix,
    *,
    labels: str | Sequence[Any] | ArrayLike | None = None,
    unlabeled: str | int | Sequence[str] = "unknown",
    layer: str | None = None,
    predicted_layer: str | None = None,
) -> pd.DataFrame:
    """Compare predicted expression with observed expression, gene by gene.

    :func:`expression_report` is the mean over genes, and describes the parameters further. Genes are made dense some at
    a time, so that the memory needed does not grow with their number.

    Parameters
    ----------
    observed
        Expression, cells × genes.
    predicted
        Prediction of the same cells, cells × genes.
    labels
        Cell types, for what they alone would reach: one per cell of ``observed``, or a column of its ``.obs``.
    unlabeled
        Labels that stand for none.
    layer
        Layer of ``observed`` to compare, ``.X`` if None.
    predicted_layer
        Layer of ``predicted`` to compare, ``.X`` if None.

    Returns
    -------
    A row per gene, by name (by number, of arrays), in the order of ``observed``:

    - ``mse``: mean squared error over cells.
    - ``pearson``, ``spearman``: correlation over cells, of values and of their ranks (equal values share the mean of
      their ranks). NaN where observed or predicted values are all equal.
    - ``is_constant``, ``is_constant_predicted``: whether observed, and predicted, values are all equal.
    - with ``labels`` also ``mse_labels``, ``pearson_labels`` and ``spearman_labels``, of the prediction by types.

    Raises
    ------
    ValueError, TypeError, KeyError
        As :func:`expression_report`.

    See Also
    --------
    scllmda.metrics.expression_report : Means over genes.
    scllmda.tl.predict_expression : Predicts expression.

    Examples
    --------
    >>> import pandas as pd, scllmda as sl
    >>> observed = pd.DataFrame({"CD19": [0, 1, 3], "ACTB": [2, 2, 2]}, index=["a", "b", "c"])
    >>> predicted = pd.DataFrame({"ACTB": [1, 2, 2], "CD19": [0, 2, 4]}, index=["a", "b", "c"])
    >>> table = sl.metrics.expression_by_gene(observed, predicted)
    >>> table["spearman"].round(2).to_dict(), table["mse"].round(2).to_dict()
    ({'CD19': 1.0, 'ACTB': nan}, {'CD19': 0.67, 'ACTB': 0.33})
    """
    scores = gene_scores(
        observed, predicted, labels=labels, unlabeled=unlabeled, layer=layer, predicted_layer=predicted_layer
    )
    return scores.table
