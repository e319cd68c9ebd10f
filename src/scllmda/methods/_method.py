"""What a method is: the one shape that published systems, our own and baselines have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._pretraining import Unlabeled
from ._task import PARTS, Represented, Result, Task


@dataclass(frozen=True)
class Method:
    """An annotator and what to know of it.

    It labels cells in a space: the package's own embedding if it reads that, else one that its ``represent`` makes. A
    method that does neither labels cells straight from counts, and its aligned representation is the space.
    """

    name: str
    """As in ``method=`` and in ``.uns``."""
    label: Callable[[Task, Any], Result]
    """From a task and the recipe to probabilities and the aligned representation."""
    recipe: type
    """Frozen dataclass of its constants, each with its source."""
    description: str
    citation: str
    reads: frozenset[str] | Callable[[Any], frozenset[str]] = frozenset({"embedding"})
    """Parts of the source (see ``PARTS``) that it reads, or a function from the recipe to them."""
    represent: Callable[[Task, Any], Represented] | None = None
    """From a task and the recipe to cells in a space of the method's own."""
    of_space: frozenset[str] = frozenset()
    """Constants of the recipe that ``represent`` alone reads."""
    holds_out: bool = False
    """Whether its results have ``alike``, without which there are no prediction sets."""
    without_sequence: Mapping[str, Any] = field(default_factory=dict)
    """Constants to replace where there is no DNA under the peaks to read."""
    pretrain: Callable[..., list[float]] | None = None
    """From cells without labels (:class:`Unlabeled`), the recipe, and by name ``output`` (the checkpoint folder),
    ``resume``, ``device`` and ``seed`` to the loss of each epoch. None: nothing of it is pre-trained."""
    pretrains_on_expression: bool = False
    """Whether it is pre-trained on cells of which expression is known too, and batches if there are."""
    embed: Callable[[Unlabeled, Any, str], tuple[NDArray[np.float32], Mapping[str, Any]]] | None = None
    """From cells without labels, the recipe with the weights of a pre-training, and a torch device to (n_cells, k)
    vectors, zero for cells of which nothing is known, and numbers for ``.uns``. None: it has no such vectors."""
    has_evidence: bool = False
    """Whether its labels rest on peaks in a way that can be told: its results have a ``model``."""

    most_reference: Callable[[Any], int] | None = None
    """From the recipe to how many reference cells are looked at; None for all of them."""

    def parts(self, recipe: Any) -> frozenset[str]:
        """Return the parts of the source that it reads with a recipe.

        Raises
        ------
        ValueError
            It says that it reads something else.
        """
        parts = frozenset(self.reads(recipe) if callable(self.reads) else self.reads)
        if unknown := sorted(parts - PARTS):
            msg = f"method={self.name!r} says that it reads {unknown}; expected some of {sorted(PARTS)}."
            raise ValueError(msg)
        return parts

    @property
    def in_given_space(self) -> Method:
        """The same on cells that were embedded before."""
        return replace(self, reads=frozenset({"embedding"}), represent=None)
