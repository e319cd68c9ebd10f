"""One check of a reference as tables."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Literal

import pandas as pd

from .._anndata import load, obs_column, read
from .._checks import checked
from .._keys import REFERENCE_CHECK, ReferenceCheckKeys

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked
def reference_check(
    reference: AnnData | MuData | str | PathLike[str],
    table: Literal["types", "pairs", "batches", "cells"] = "types",
    *,
    key: str = REFERENCE_CHECK,
    mod: str = "atac",
) -> pd.DataFrame:
    """Return what a check of a reference found, as a table.

    Parameters
    ----------
    reference
        Object or path that :func:`scllmda.tl.check_reference` wrote to.
    table
        Which table, see below.
    key
        Its ``key_added``.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    ``"types"``
        A row per type: ``n_cells``; ``is_small``, fewer than ``fewest_cells``; ``n_contradicted``, cells whose label
        the rest contradicts; ``hardest_to_tell_from``, the type with which the ``error`` is largest; that ``error``;
        ``open_peaks_q25``, ``open_peaks_median`` and ``open_peaks_q75``, quartiles of the cells' numbers of open peaks;
        ``depth_ratio``, that median in multiples of the median over types.
    ``"pairs"``
        A row per pair of types, the hardest to tell apart first: ``first`` and ``second``; ``error``, the mean over
        both of the share of their cells that are taken for the other, with a confidence interval of 95 %,
        ``error_low`` and ``error_high``; ``error_across_batches``, the same in batches that were held out, NaN without
        batches; ``is_hard``, whether one of the errors is above ``max_error`` and neither type is small.
    ``"batches"``
        With ``batch_key``, a row per type and batch: ``n_cells``, ``share_of_type``, ``open_peaks_median``, and
        ``depth_ratio``, that median in multiples of that of all cells of the type.
    ``"cells"``
        A row per cell: ``label``, ``contradicted``, ``chance`` (that the label is wrong), ``suggested``.

    Raises
    ------
    KeyError
        There is no such check, or it has no batches.

    See Also
    --------
    scllmda.tl.check_reference : Writes what is read here.
    scllmda.pl.reference_check : The same as a figure.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.check_reference(reference, "cell_type")
    >>> bool(sl.get.reference_check(reference, "pairs")["is_hard"].any())
    False
    """
    data = load(reference)
    atac = read(data, mod=mod, what="reference")
    found, keys = atac.uns.get(key), ReferenceCheckKeys(key)
    if not isinstance(found, Mapping) or not {"params", "types", "pairs"} <= set(found):
        msg = f"Did not find a check {key!r} of the reference (.uns[{key!r}]). Run sl.tl.check_reference first."
        raise KeyError(msg)
    if table == "cells":
        slots = {"contradicted": keys.contradicted, "chance": keys.chance, "suggested": keys.suggested}
        label = obs_column(data, atac, found["params"]["labels_key"], what="reference")
        return pd.DataFrame({"label": label} | {name: atac.obs[slot] for name, slot in slots.items()})
    if table not in found:
        msg = (
            f".uns[{key!r}] has no table 'batches': batches were not looked at. Run sl.tl.check_reference again with "
            "batch_key= the column that holds them."
        )
        raise KeyError(msg)
    return found[table].copy()
