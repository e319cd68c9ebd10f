"""The encoders one can choose from."""

from __future__ import annotations

import pandas as pd

from .. import encoders as _encoders


def encoders() -> pd.DataFrame:
    """List the encoders that ``sl.tl.embed_peaks`` and ``sl.encoders.get`` know by name.

    Returns
    -------
    One row per encoder, indexed by name: description, licence, what it needs, options of ``sl.encoders.get`` it has,
    and citation.

    Examples
    --------
    >>> import scllmda as sl
    >>> sl.get.encoders().loc["kmer", "needs"]
    'nothing'
    """
    return _encoders.table()
