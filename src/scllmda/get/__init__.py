"""Read results and registries out as tables.

Lives here: functions that return data frames or arrays. May not live here: anything that changes an object.
"""

from __future__ import annotations

from ._encoders import encoders

__all__ = ["encoders"]
