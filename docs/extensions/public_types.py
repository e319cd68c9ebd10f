"""Name types as users import them: `AnnData`, not `anndata._core.anndata.AnnData`."""

from __future__ import annotations

import sys
from typing import Any, get_origin

import numpy as np


def public_name(kind: type) -> str:
    """Return the shortest path of modules at which a class is found."""
    parts = kind.__module__.split(".")
    for n in range(1, len(parts) + 1):
        module = ".".join(parts[:n])
        if getattr(sys.modules.get(module), kind.__qualname__, None) is kind:
            return f"{module}.{kind.__qualname__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def format_type(annotation: Any, config: Any) -> str | None:
    """Return the text of a class, or of an array without its parameters; None leaves it to the extension."""
    if get_origin(annotation) is np.ndarray:
        return ":class:`~numpy.ndarray`"
    if isinstance(annotation, type) and "._" in annotation.__module__:
        name = public_name(annotation)
        return f"``{annotation.__name__}``" if "._" in name else f":class:`~{name}`"
    return None
