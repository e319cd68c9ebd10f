"""JSON files that hold names and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._messages import DOWNLOAD_AGAIN, first_line, shortened


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds names and values.

    Raises
    ------
    ValueError
        The file holds no JSON, or something else than an object.
    """
    expected = "expected a JSON object, names and values in braces"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"Could not read {path}, {expected}: {type(error).__name__}: {first_line(error)}. {DOWNLOAD_AGAIN}"
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds {shortened(content)}, {expected}. {DOWNLOAD_AGAIN}"
        raise ValueError(msg)
    return content
