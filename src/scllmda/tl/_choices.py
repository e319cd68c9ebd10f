"""What a caller chooses of what all annotations have in common, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .. import _logging as logg
from .._anndata import AnnData, obs_column
from ..calibration import NoveltyRecipe
from ..methods import Method, get, make_novelty_recipe, make_recipe
from ._clusters import require_leiden
from ._params import require_effect, storable


@dataclass(frozen=True)
class Choices:
    """How cells are labeled and what is written, whatever they come from."""

    method: Method
    recipe: Any
    """Constants of the method."""
    novelty: NoveltyRecipe
    n_neighbors: int
    max_false_rejection: float | None
    min_probability: float
    majority_voting: str | bool | None
    key_added: str
    device: str
    seed: int | np.random.Generator
    """As it was given."""
    rng: np.random.Generator
    set_coverage: float | None = None

    @classmethod
    def checked(
        cls,
        method: str | Method,
        recipe: Mapping[str, Any] | None,
        novelty_recipe: Mapping[str, Any] | None,
        *,
        in_given_space: bool = False,
        majority_voting: str | bool | None,
        rng: int | np.random.Generator,
        **others: Any,
    ) -> Choices:
        """Return the choices.

        Raises
        ------
        TypeError, ValueError
            Unknown method; a constant that a recipe does not have, or that has no effect on cells in a given space;
            prediction sets by a method that makes none.
        ImportError
            Clusters are to be found and there is no igraph.
        """
        found, settings = get(method), make_recipe(method, recipe)
        if in_given_space:
            _require_second_stage(found, settings)
            of_space = {name: value for name, value in (recipe or {}).items() if name in found.of_space}
            require_effect("on cells that were embedded before (use_rep=)", of_space, possible=False)
            found = found.in_given_space
        if majority_voting is True:
            require_leiden()
        voting = None if majority_voting is False else majority_voting
        if others.get("set_coverage") is not None:
            _require_held_out(found)
        novelty, generator = make_novelty_recipe(novelty_recipe), np.random.default_rng(rng)
        return cls(found, settings, novelty, majority_voting=voting, seed=rng, rng=generator, **others)

    @property
    def reads(self) -> frozenset[str]:
        """What the method reads."""
        return self.method.parts(self.recipe)

    @property
    def reads_sequence(self) -> bool:
        """Whether the method has a use for the DNA under the peaks."""
        return bool(self.reads & {"embedding", "peak_embeddings"})

    @property
    def column(self) -> str | None:
        """Column with a clustering that votes, if there is one."""
        return self.majority_voting if isinstance(self.majority_voting, str) else None

    def clusters(self, data: Any, adata: AnnData, what: str = "adata") -> Any:
        """Return that column of an object; None without one."""
        if self.column is None:
            return None
        return obs_column(data, adata, self.column, parameter="majority_voting", what=what)

    def require_embedding(self) -> None:
        """Raise ValueError if the method cannot do with a query mapped to a frozen reference."""
        if self.reads <= {"embedding"}:
            return
        own = f", or recipe={dict(self.method.without_sequence)!r}" if self.method.without_sequence else ""
        msg = (
            f"method={self.method.name!r} makes its representation of the counts of reference and query together; "
            "found a frozen reference, or one without counts. Pass method='robust', or a reference with counts and "
            f"frozen=False{own}."
        )
        raise ValueError(msg)

    def for_sequence(self, *, there: bool) -> Choices:
        """Return the choices as they can be with or without DNA under the peaks, and warn where that is a loss.

        Raises
        ------
        ValueError
            The method cannot do without.
        """
        if there or "peak_embeddings" not in self.reads:
            return self
        name, instead = self.method.name, dict(self.method.without_sequence)
        mend = "Pass genome= the FASTA of the reference's genome build."
        if not instead:
            msg = f"method={name!r} reads the DNA under the peaks, and there is none. {mend}"
            raise ValueError(msg)
        logg.warning(
            f"Of method={name!r} the second stage alone runs, on the package's own embedding, as with "
            f"recipe={instead!r}: its first stage reads the DNA under the peaks, and there is none. {mend}"
        )
        return replace(self, recipe=replace(self.recipe, **instead))

    def params(self) -> dict[str, Any]:
        """Return what of the choices goes to ``.uns``; not the constants of a space that was not made."""
        recipe = asdict(self.recipe)
        if "embedding" in self.reads:
            kept = self.method.without_sequence if self.method.represent is not None else ()
            recipe = {k: v for k, v in recipe.items() if k not in self.method.of_space or k in kept}
        return storable(
            method=self.method.name,
            recipe=recipe,
            n_neighbors=self.n_neighbors,
            max_false_rejection=self.max_false_rejection,
            novelty_recipe=self.novelty,
            min_probability=self.min_probability,
            set_coverage=self.set_coverage,
            majority_voting=self.majority_voting,
            rng=self.seed,
        )


def _require_held_out(method: Method) -> None:
    """Raise ValueError if a method holds out no cells of the reference, by which sets have their coverage."""
    if not method.holds_out:
        msg = (
            f"method={method.name!r} holds out no cells of the reference, and there are no prediction sets without. "
            "Pass method='robust', or leave set_coverage= out."
        )
        raise ValueError(msg)


def _require_second_stage(method: Method, recipe: Any) -> None:
    """Raise ValueError if nothing of a method can run on cells that were embedded before."""
    if method.represent is None and "embedding" not in method.parts(recipe):
        reads = ", ".join(sorted(method.parts(recipe)))
        msg = (
            f"method={method.name!r} labels cells straight from counts (it reads {reads}), and has no second stage for "
            "cells that were embedded before. Call sl.tl.annotate, or pass method='robust'."
        )
        raise ValueError(msg)
