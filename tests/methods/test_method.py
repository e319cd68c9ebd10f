"""A new method is one object: nothing else in the package has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests._objects import annotated, pair
from tests.methods._tasks import Openness

import scllmda as sl
from scllmda.methods import METHODS, Method, Represented, Result, Task, run


@dataclass(frozen=True)
class ToyRecipe:
    """Constants of a toy."""

    n_components: int = 5
    """Kept for the space."""
    C: float = 1.0
    """Read by the labels."""


def by_depth(task: Task, recipe: ToyRecipe) -> Represented:
    """Place cells by the counts of the first peaks."""
    return Represented(task.counts[:, : recipe.n_components].toarray() + 1.0, history={"toy": [1.0]})


def most_common(task: Task, recipe: ToyRecipe) -> Result:
    """Give every cell the most common label of the reference."""
    proba = np.full((int(task.query.sum()), task.n_classes), 0.1 / max(task.n_classes - 1, 1))
    proba[:, np.bincount(task.labels[~task.query]).argmax()] = 0.9
    return Result(proba, np.asarray(task.X, dtype=np.float32))


def from_counts(task: Task, recipe: ToyRecipe) -> Result:
    """Label without any space."""
    aligned = task.counts[:, :6].toarray().astype(np.float32)
    return Result(np.full((int(task.query.sum()), task.n_classes), 1 / task.n_classes), aligned)


def toy(**changes: Any) -> Method:
    shape = {
        "name": "toy",
        "label": most_common,
        "recipe": ToyRecipe,
        "description": "A toy",
        "citation": "none",
        "reads": frozenset({"counts"}),
        "represent": by_depth,
        "of_space": frozenset({"n_components"}),
    }
    return Method(**{**shape, **changes})


def test_an_object_is_taken_as_a_method() -> None:
    reference, query = pair()
    done = annotated(query, reference, method=toy(), recipe={"n_components": 7})
    assert set(done.obs["scllmda_raw"]) == {reference.obs["cell_type"].value_counts().index[0]}
    uns = done.uns["scllmda"]
    assert (uns["params"]["method"], uns["params"]["n_latent"]) == ("toy", 7)
    assert uns["params"]["recipe"] == {"n_components": 7, "C": 1.0}
    assert uns["history"]["toy"] == [1.0]
    assert (uns["coverage"]["n_own"], uns["coverage"]["sequence"]) == (0, "none")


def test_one_entry_in_the_registry_makes_it_known_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", toy())
    table = sl.get.methods()
    assert table.loc["toy", "reads"] == "counts"
    assert table.loc["toy", "recipe"] == "n_components=5, C=1.0"
    reference, query = pair()
    assert annotated(query, reference, method="toy").uns["scllmda"]["params"]["method"] == "toy"
    with pytest.raises(ValueError, match=r"method='toy' has no \['c'\] in its recipe"):
        sl.tl.annotate(query, reference, method="toy", recipe={"c": 1})
    with pytest.raises(ValueError, match="method='toy', which reads neither sequence nor an embedding"):
        sl.tl.annotate(query, reference, method="toy", genome="hg38.fa")


def test_constants_of_a_space_that_is_given_are_refused() -> None:
    reference, _ = pair()
    sl.tl.cell_embeddings(reference, n_latent=8)
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(object)
    reference.obs.iloc[:20, reference.obs.columns.get_loc("cell_type")] = "unknown"
    with pytest.raises(ValueError, match=r"n_components=3 has no effect on cells that were embedded before"):
        sl.tl.graph_da_annotate(reference, "cell_type", method=toy(), recipe={"n_components": 3})
    sl.tl.graph_da_annotate(reference, "cell_type", method=toy(), recipe={"C": 2.0})
    assert reference.uns["scllmda"]["params"]["recipe"] == {"C": 2.0}


def test_a_method_may_label_straight_from_counts() -> None:
    reference, query = pair()
    done = annotated(query, reference, method=toy(label=from_counts, represent=None))
    assert done.obsm["X_scllmda_da"].shape == (query.n_obs, 6)
    assert done.obsp["scllmda_connectivities"].nnz > 0
    assert done.uns["scllmda"]["params"]["n_latent"] == 6


@pytest.mark.parametrize("part", ["embedding", "peaks", "peak_embeddings"])
def test_what_a_method_reads_it_has_to_say(part: str) -> None:
    def reader(task: Task, recipe: ToyRecipe) -> Result:
        getattr(task, "X" if part == "embedding" else part)
        raise AssertionError

    reference, query = pair()
    with pytest.raises(TypeError, match=rf"reads '{part}' and does not say so; .*\['counts'\]"):
        annotated(query, reference, method=toy(label=reader, represent=None))


def test_unknown_parts_are_refused() -> None:
    reference, query = pair()
    with pytest.raises(ValueError, match=r"method='toy' says that it reads \['genes'\]"):
        annotated(query, reference, method=toy(reads=frozenset({"genes"})))


def test_neither_a_name_nor_a_method() -> None:
    reference, query = pair()
    with pytest.raises(TypeError, match=r"Found method=3 \(int\); expected a name .* or a Method"):
        sl.tl.annotate(query, reference, method=3)


def test_nothing_is_made_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("space_of_one", "space_of_two"):
        monkeypatch.setattr(f"scllmda.tl._sources.{name}", never)
    reference, query = pair(sequence=True)
    assert annotated(query, reference, method=toy()).uns["scllmda"]["coverage"]["sequence"] == "none"


def test_peaks_are_those_of_the_counts() -> None:
    seen: dict[str, Any] = {}

    def reader(task: Task, recipe: ToyRecipe) -> Result:
        seen.update(names=task.peaks.names(), counts=task.counts)
        return from_counts(task, recipe)

    reference, query = pair()
    reads = frozenset({"counts", "peaks"})
    annotated(query, reference, method=toy(label=reader, represent=None, reads=reads))
    at = reference.var_names.get_indexer(seen["names"])
    assert (at >= 0).all()
    open_cells = np.asarray((reference.X > 0).sum(axis=0)).ravel()[at]
    np.testing.assert_array_equal(np.asarray(seen["counts"][:150].sum(axis=0)).ravel(), open_cells)


def test_a_source_without_a_part_says_so() -> None:
    source = Openness(np.zeros((2, 2)))
    reads = toy(reads=frozenset({"embedding"}), represent=None)
    with pytest.raises(TypeError, match="come without embedding"):
        run(source, np.array([0, -1]), 1, method=reads, recipe=ToyRecipe(), rng=np.random.default_rng(0))
