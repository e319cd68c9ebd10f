from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any


def storable(**params: Any) -> dict[str, Any]:
    """Return parameters as what files can hold: no None, no tuple, dataclasses as dictionaries, others as text."""
    return {name: _storable(value) for name, value in params.items() if value is not None}


def _storable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return storable(**asdict(value))
    if isinstance(value, tuple | list):
        return [_storable(v) for v in value]
    return value if isinstance(value, bool | int | float | str) else type(value).__name__
