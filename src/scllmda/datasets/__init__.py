"""Example data.

Lives here: functions that make or fetch small data sets to try the package on.
May not live here: anything another part of the package needs to work.
"""

from __future__ import annotations

from ._fetch import fetch
from ._simulate import simulate

__all__ = ["fetch", "simulate"]
