"""Annotators behind one protocol (`Method`) and one registry.

Holds one file per method, and one folder per published system; arrays in, labels and probabilities out. No AnnData, no
slots. Nothing but the registry names a system.
"""

from __future__ import annotations

from ._cells import Cells
from ._decide import finest_label, majority_label
from ._method import Method
from ._pretraining import Unlabeled
from ._registry import METHODS, cell_models, get, make_recipe, pretrained_models, table
from ._reject import make_novelty_recipe
from ._robust import RobustRecipe, robust
from ._run import Annotation, represent, run
from ._task import Represented, Result, SideCounts, Source, Task

__all__ = [
    "METHODS",
    "Annotation",
    "Cells",
    "Method",
    "Represented",
    "Result",
    "RobustRecipe",
    "SideCounts",
    "Source",
    "Task",
    "Unlabeled",
    "cell_models",
    "finest_label",
    "get",
    "majority_label",
    "make_novelty_recipe",
    "make_recipe",
    "pretrained_models",
    "represent",
    "robust",
    "run",
    "table",
]
