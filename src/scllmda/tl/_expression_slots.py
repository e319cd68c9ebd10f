"""Predicted expression in slots of an AnnData, or in a modality of a MuData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._anndata import claim_slots, write_slots
from .._files import columns_of_their_own
from ..methods import Predicted, places

if TYPE_CHECKING:
    import datetime

    from mudata import MuData


def only(predicted: Predicted, genes: Sequence[str] | None) -> Predicted:
    """Return what is predicted of some genes, of all if None."""
    if genes is None:
        return predicted
    return replace(predicted, values=predicted.values[:, places(genes, predicted.genes)], genes=tuple(genes))


def claim_expression(data: AnnData | MuData, target: AnnData, key: str, read: tuple[str, str]) -> None:
    """Raise ValueError, before any work, where a result would overwrite what is read; warn of the user's slots.

    Parameters
    ----------
    data, target
        Object, and what of it holds the peaks.
    key
        Slots, or modality, to be written.
    read
        Modalities that hold peaks and expression.
    """
    if isinstance(data, AnnData):
        claim_slots(target, [("obsm", key), ("uns", key)], read={}, is_ours=_is_ours(target, key))
        return
    if key in read:
        msg = f"This would overwrite the modality {key!r}, which is measured. Pass key_added= another name."
        raise ValueError(msg)
    if key in data.mod and not _is_ours(data.mod[key], key):
        msg = f"The MuData has a modality {key!r}, which scllmda did not write. Pass key_added= another name."
        raise ValueError(msg)


def _is_ours(adata: AnnData, key: str) -> bool:
    found = adata.uns.get(key)
    return isinstance(found, Mapping) and "is_probability" in found


def write_expression(
    data: AnnData | MuData,
    target: AnnData,
    predicted: Predicted,
    of_call: Mapping[str, Any],
    key: str,
    *,
    start: datetime.datetime | None,
) -> None:
    """Write predicted expression: to ``.obsm`` and ``.uns`` of an AnnData, or as a modality of a MuData.

    Parameters
    ----------
    data, target
        Object, and what of it holds the peaks.
    predicted
        Of its cells, in their order.
    of_call
        What else goes to ``.uns``.
    key
        Slots, or modality.
    start
        When the work began.
    """
    genes = np.array(predicted.genes, dtype=object)
    uns = {
        **of_call,
        "genes": genes,
        "is_probability": predicted.is_probability,
        "history": dict(predicted.history),
    }
    if isinstance(data, AnnData):
        write_slots(data, {("obsm", key): predicted.values, ("uns", key): uns}, start=start)
        return
    found = AnnData(
        predicted.values, obs=pd.DataFrame(index=target.obs_names), var=pd.DataFrame(index=pd.Index(genes, dtype=str))
    )
    write_slots(found, {("uns", key): uns}, start=start)
    data.mod[key] = found
    with columns_of_their_own():
        data.update()
