from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .._keys import UNASSIGNED
from .._label_text import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

UNASSIGNED_COLOR = "#000000"


def class_colors(classes: Sequence[str], reference: AnnData | None, labels_key: str | None) -> dict[str, str]:
    """Return a color per class: the reference's (``.uns[f"{labels_key}_colors"]``) if it has them, else scanpy's."""
    from scanpy.plotting import palettes

    known: dict[str, str] = {}
    if reference is not None and labels_key in reference.obs and f"{labels_key}_colors" in reference.uns:
        categories = as_text(pd.Series(pd.Categorical(reference.obs[labels_key]).categories))
        known = dict(zip(categories, map(str, reference.uns[f"{labels_key}_colors"]), strict=False))
    palette = next(
        (p for p in (palettes.default_20, palettes.default_28) if len(p) >= len(classes)), palettes.default_102
    )
    own = {c: palette[i % len(palette)] for i, c in enumerate(classes)}
    return {**own, **{c: known[c] for c in classes if c in known}, UNASSIGNED: UNASSIGNED_COLOR}
