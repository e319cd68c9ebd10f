from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np


def storable(**params: Any) -> dict[str, Any]:
    """Return parameters as what files can hold: no None, no tuple, dataclasses as dictionaries, others as text."""
    return {name: _storable(value) for name, value in params.items() if value is not None}


def require_effect(where: str, params: Mapping[str, Any], *, possible: bool) -> None:
    """Raise ValueError if a parameter was given that has no effect."""
    given = [f"{name}={value!r}" for name, value in params.items() if value is not None]
    if given and not possible:
        msg = f"{', '.join(given)} has no effect {where}; expected it to be left out."
        raise ValueError(msg)


def require_client(client: Any) -> None:
    """Raise TypeError if a Dask client is expected and something else was given."""
    if client is not None and not hasattr(client, "nthreads"):
        msg = f"Found client={client!r}, expected a Dask client: client=dask.distributed.Client(address)."
        raise TypeError(msg)


def _storable(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if is_dataclass(value) and not isinstance(value, type):
        return storable(**asdict(value))
    if isinstance(value, Mapping):
        return storable(**value)
    if isinstance(value, tuple | list):
        return [_storable(v) for v in value]
    return value if isinstance(value, bool | int | float | str) else type(value).__name__
