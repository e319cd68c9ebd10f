"""Annotators behind one protocol and one registry.

Holds one method per file, from arrays to labels and probabilities. No AnnData, no slots, no DNA.
"""

from __future__ import annotations

from ._annotate_cells import Annotation, annotate_cells, make_novelty_recipe
from ._cells import Cells
from ._registry import METHODS, Method, get, make_recipe, table
from ._represent_cells import has_own_representation, represent_cells
from ._robust import RobustRecipe, robust
from ._scllmda import ScllmdaRecipe, scllmda
from ._seqalignatac import SeqAlignAtacRecipe, seqalignatac
from ._task import Counts, Result, Task

__all__ = [
    "METHODS",
    "Annotation",
    "Cells",
    "Counts",
    "Method",
    "Result",
    "RobustRecipe",
    "ScllmdaRecipe",
    "SeqAlignAtacRecipe",
    "Task",
    "annotate_cells",
    "get",
    "has_own_representation",
    "make_novelty_recipe",
    "make_recipe",
    "represent_cells",
    "robust",
    "scllmda",
    "seqalignatac",
    "table",
]
