"""Annotators behind one protocol (`Method`) and one registry, and so methods that foretell expression.

Holds one file per method, and one folder per published system; arrays in, labels and probabilities out. No AnnData, no
slots. Nothing but the registry names a system.
"""

from __future__ import annotations

from ._cells import Cells
from ._contributions import Contributions, contributions
from ._decide import common_label, finest_label, majority_label
from ._expression import ExpressionMethod, Predicted, predict_expression
from ._label_check import LabelCheck, PairError, check_labels, pair_errors
from ._linear_model import LinearModel
from ._members import log_folds
from ._method import Method
from ._pretraining import Expression, Unlabeled, places
from ._registry import (
    EXPRESSION_METHODS,
    METHODS,
    cell_models,
    embedding_models,
    expression_method,
    get,
    make_expression_recipe,
    make_recipe,
    pretrained_models,
    table,
)
from ._reject import make_novelty_recipe
from ._ridge import RidgeRecipe
from ._robust import RobustRecipe, robust
from ._run import Annotation, represent, run
from ._task import Alike, Represented, Result, SideCounts, Source, Task

__all__ = [
    "EXPRESSION_METHODS",
    "METHODS",
    "Alike",
    "Annotation",
    "Cells",
    "Contributions",
    "Expression",
    "ExpressionMethod",
    "LabelCheck",
    "LinearModel",
    "Method",
    "PairError",
    "Predicted",
    "Represented",
    "Result",
    "RidgeRecipe",
    "RobustRecipe",
    "SideCounts",
    "Source",
    "Task",
    "Unlabeled",
    "cell_models",
    "check_labels",
    "common_label",
    "contributions",
    "embedding_models",
    "expression_method",
    "finest_label",
    "get",
    "log_folds",
    "majority_label",
    "make_expression_recipe",
    "make_novelty_recipe",
    "make_recipe",
    "pair_errors",
    "places",
    "predict_expression",
    "pretrained_models",
    "represent",
    "robust",
    "run",
    "table",
]
