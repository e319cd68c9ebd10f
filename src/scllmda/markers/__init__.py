"""Which peaks are more open in some cells than in others that were read as deeply.

Holds a test of open against closed cells in strata of depth. Arrays and blocks of sparse counts only.
"""

from __future__ import annotations

from ._compare import Comparison, compare
from ._open_cells import OpenCells, count_open_cells
from ._strata import depth_strata

__all__ = ["Comparison", "OpenCells", "compare", "count_open_cells", "depth_strata"]
