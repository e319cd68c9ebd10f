"""The annotators there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import methods as _methods

if TYPE_CHECKING:
    import pandas as pd


def methods() -> pd.DataFrame:
    """Return the annotators that ``method=`` takes.

    Returns
    -------
    A row per method: ``description``; ``reads``, what it is made from (the package's own ``embedding`` of the cells,
    ``counts`` on shared peaks, ``peak_embeddings``, the vectors of the peaks' DNA, or ``sides``, the counts of
    reference and query each on its own peaks); ``citation``; and ``recipe``, its constants with their defaults.

    Examples
    --------
    >>> import scllmda as sl
    >>> sl.get.methods().index[:2].tolist()
    ['robust', 'scllmda']
    """
    return _methods.table()
