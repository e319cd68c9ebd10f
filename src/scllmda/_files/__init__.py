"""Objects from paths, checks of paths before any work, and files that are whole or not there.

Reading, checking paths and writing live here; what the slots of an object mean may not, nor may anything that learns.
"""

from __future__ import annotations

from ._cell_ranger import PEAKS
from ._columns_of_their_own import columns_of_their_own
from ._load import load, require_readable
from ._paths import naming, require_apart, require_file, require_folder, require_output
from ._reading import damage_named, require_unpacked
from ._write import write
from ._written_aside import written_aside

__all__ = [
    "PEAKS",
    "columns_of_their_own",
    "damage_named",
    "load",
    "naming",
    "require_apart",
    "require_file",
    "require_folder",
    "require_output",
    "require_readable",
    "require_unpacked",
    "write",
    "written_aside",
]
