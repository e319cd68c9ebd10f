"""Wrong values of every parameter of every public function: said by name, before any work, and nothing is changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests._motifs import planted
from tests._objects import added, pair, paired, snapshot

import scllmda as sl
from scllmda import _checks, methods
from scllmda.calibration import NoveltyRecipe

OF_EXPRESSION = {f"{name}, expression": method for name, method in methods.EXPRESSION_METHODS.items()}
RECIPES = {
    **{name: method.recipe for name, method in (methods.METHODS | OF_EXPRESSION).items()},
    "novelty": NoveltyRecipe,
}
NOT_NUMBERS = ["5", None, [1], {}, float("nan"), float("inf"), -float("inf")]
WRONG: dict[str, list[Any]] = {
    "int": [*NOT_NUMBERS, 2.5, -1, np.array([1, 2])],
    "float": [*NOT_NUMBERS, -0.5, np.array([0.1])],
    "str": [5, None, ["a"], b"a", float("nan"), {}],
    "bool": ["yes", 2, None, [True], float("nan")],
}
"""By annotation. What is right all the same, None for example, is of another annotation too."""
OBJECTS: list[Any] = [5, None, [1], "nothing.h5ad", "nothing.txt", np.ones((2, 2))]
SPECIAL: dict[str, list[Any]] = {
    "adata": OBJECTS,
    "data": OBJECTS,
    "model": ["nothing", 5, None],
    "output": [5, None],
    "query": OBJECTS,
    "reference": [5, [1], "nothing.h5ad", "nothing.txt", np.ones((2, 2))],
    "labels_key": ["nothing", 5, [], ["nothing"], [5], None, {"a": 1}],
    "batch_key": ["nothing", 5, ["batch"]],
    "domain_key": ["nothing", 5],
    "majority_voting": ["nothing", 5],
    "truth": ["nothing", 5],
    "groupby": ["nothing", 5],
    "group": ["nothing", 5, ["nothing"], [5]],
    "kind": ["nothing", 5, None],
    "values": ["nothing", 5, None],
    "panels": ["nothing", 5, [], ["nothing"], [5]],
    "basis": ["nothing", 5],
    "ax": [5, "nothing", [], np.ones(2)],
    "axes": [5, "nothing", [], [5], np.ones(2)],
    "palette": [5, "nothing", ["nothing"], {"nothing": "red"}, float("nan")],
    "title": [5, [5], {}],
    "save": ["nothing", "nothing/a.png", "a.nothing", 5, [], b"a.png"],
    "layer": ["nothing", 5],
    "reference_layer": ["nothing", 5],
    "use_rep": ["nothing"],
    "rna_layer": ["nothing", 5],
    "rna_mod": [5, None],
    "var_names": ["nothing", ["nothing"], 5, [], [5]],
    "weights": ["nothing", 5],
    "motifs": ["nothing.meme", "JASPAR1", 5, [], [5], {}, {"a": np.ones(5)}],
    "tax_group": [5],
    "markers_key": ["nothing", 5],
    "use_varm": ["nothing"],
    "key": ["nothing"],
    "mod": [5, None],
    "method": ["nothing", 5, None],
    "encoder": ["nothing", 5, None, object()],
    "likelihood": ["nothing"],
    "domain_peaks": ["nothing"],
    "recipe": [5, "nothing", {"nothing": 1}, {5: 1}],
    "novelty_recipe": [5, {"nothing": 1}],
    "genome": ["nothing.fa", 5],
    "chain": ["nothing.chain", 5],
    "tss": ["nothing.bed", 5],
    "genes": ["nothing.bed", 5, None],
    "path": ["nothing", "nothing/a.html", "a.png", *OBJECTS],
    "fragments": [5, None, "nothing.tsv", [], [5], {}, {"a": 5}],
    "peaks": [5, None, [], ["nothing"], [5], "nothing.bed", np.ones((2, 2))],
    "barcodes": ["nothing.tsv", 5, [], [5], ["a", "a"], {}],
    "motif": ["nothing", 5, None],
    "sites": ["nothing.bed", 5],
    "shift": [5, "nothing", [], [4], [4, 5, 6], ["a", "b"], [0.5, 1]],
    "counting": ["nothing", 5, None],
    "observed": [5, None, "nothing", [1], np.ones((2, 2))],
    "predicted": [5, None, "nothing", [1]],
    "labels": ["nothing", 5, ["a"], b"a", float("nan"), {}],
    "batch": ["nothing", 5, None, ["a"], b"a", float("nan"), {}],
    "predicted_layer": ["nothing", 5],
    "key_added": ["", "a/b", 5],
    "rng": ["x", -1, 2.5, [], float("nan")],
    "device": ["nothing", "cuda:99", 5, None],
    "client": [5],
    "missing": ["nothing", 5],
    "mode": ["nothing", 5],
    "window": [0, -5, 2.5, "x"],
    "batch_size": [0, -5, 2.5, "x"],
    "cache_dir": [5],
    "sequence_key": ["nothing", 5],
    "source": ["nothing", 5, None, "nothing://a/b"],
    "sha256": ["nothing", 5, ""],
}
GENES = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10**8], "strand": ["+"], "name": ["A"]})
NAMED = (ValueError, TypeError, KeyError, FileNotFoundError, IsADirectoryError)


@pytest.fixture(scope="module")
def objects() -> dict[str, ad.AnnData]:
    """Return objects with all that the functions read; not to be changed."""
    reference, query = pair(sequence=True)
    sl.tl.embed_peaks(reference)
    sl.tl.cell_embeddings(reference, n_latent=8)
    sl.tl.annotate(query, reference, frozen=True)
    sl.tl.marker_peaks(query)
    sl.tl.check_reference(reference)
    joined = reference.copy()
    joined.obs["some"] = np.where(np.arange(joined.n_obs) % 2, joined.obs["cell_type"].astype(str), "unknown")
    islands = sl.pp.peak_islands(query)
    profile = pd.DataFrame({"label": pd.Categorical(["B"] * 3), "position": [-1, 0, 1]})
    query.uns["footprint"] = {
        "params": {"groupby": "cell_type", "norm_width": 1},
        "profile": profile.assign(n_insertions=1, expected=1.0),
        "labels": pd.DataFrame({"n_cells": [1]}, index=["B"]),
        "name": "A",
        "n_sites": 1,
        "width": 1,
    }
    sl.tl.marker_motifs(query, peaks={"a": query.var_names[:200]}, motifs=planted(query), key_added="motifs")
    return {"reference": reference, "query": query, "joined": joined, "islands": islands}


@pytest.fixture(scope="module")
def files(objects: dict[str, ad.AnnData], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an object and fragments on disk."""
    folder = tmp_path_factory.mktemp("files")
    objects["query"].write_h5ad(folder / "query.h5ad")
    (folder / "fragments.tsv").write_text(objects["query"].var_names[0].replace(":", "\t").replace("-", "\t") + "\tA\n")
    return {"query": folder / "query.h5ad", "fragments": folder / "fragments.tsv"}


def calls(
    objects: dict[str, ad.AnnData], files: dict[str, Path]
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return each public function with arguments that would do."""
    reference, query, joined = objects["reference"], objects["query"], objects["joined"]
    truth = ["A", "B"]
    return {
        "tl.annotate": (sl.tl.annotate, {"adata": query, "reference": reference, "encoder": "kmer"}),
        "tl.graph_da_annotate": (sl.tl.graph_da_annotate, {"adata": joined, "labels_key": "some"}),
        "tl.cell_embeddings": (sl.tl.cell_embeddings, {"adata": reference}),
        "tl.map_cells": (sl.tl.map_cells, {"query": query, "reference": reference}),
        "tl.embed_peaks": (sl.tl.embed_peaks, {"adata": reference}),
        "tl.check_reference": (sl.tl.check_reference, {"reference": reference}),
        "tl.footprint": (
            sl.tl.footprint,
            {
                "adata": query,
                "fragments": files["fragments"],
                "motif": "A",
                "genome": files["fragments"],
                "motifs": {"A": np.eye(4)},
            },
        ),
        "get.footprint": (sl.get.footprint, {"adata": query}),
        "pl.footprint": (sl.pl.footprint, {"adata": query, "return_fig": True}),
        "get.reference_check": (sl.get.reference_check, {"reference": reference}),
        "pl.reference_check": (sl.pl.reference_check, {"reference": reference, "return_fig": True}),
        "tl.pretrain": (sl.tl.pretrain, {"data": objects["islands"], "model": "annatac", "output": "annatac"}),
        "tl.predict_expression": (
            sl.tl.predict_expression,
            {"adata": query, "reference": paired(reference), "min_overlap": 0.5, "encoder": "kmer"},
        ),
        "io.read": (sl.io.read, {"path": files["query"]}),
        "pp.count_fragments": (sl.pp.count_fragments, {"fragments": files["fragments"], "peaks": query}),
        "pp.match_peaks": (sl.pp.match_peaks, {"query": query, "reference": reference}),
        "pp.peak_islands": (sl.pp.peak_islands, {"adata": query}),
        "pp.peak_sequences": (sl.pp.peak_sequences, {"adata": query, "genome": "nothing.fa"}),
        "pl.confusion": (sl.pl.confusion, {"adata": query, "truth": "cell_type", "return_fig": True}),
        "pl.reliability": (sl.pl.reliability, {"adata": query, "truth": "cell_type", "return_fig": True}),
        "pl.novelty": (sl.pl.novelty, {"adata": query, "truth": "cell_type", "return_fig": True}),
        "pl.evidence": (sl.pl.evidence, {"adata": query, "cells": query.obs_names[0], "return_fig": True}),
        "pl.class_proportions": (sl.pl.class_proportions, {"adata": query, "reference": reference, "return_fig": True}),
        "pl.label_flow": (sl.pl.label_flow, {"adata": query, "truth": "cell_type", "return_fig": True}),
        "pl.training_history": (sl.pl.training_history, {"data": [0.3, 0.2], "return_fig": True}),
        "pl.marker_motifs": (sl.pl.marker_motifs, {"adata": query, "key": "motifs", "fdr": 1.0, "return_fig": True}),
        "pl.report": (sl.pl.report, {"adata": query, "path": "report.html"}),
        "pl.transfer_umap": (sl.pl.transfer_umap, {"adata": query, "return_fig": True}),
        "get.annotation": (sl.get.annotation, {"adata": query}),
        "get.evidence": (sl.get.evidence, {"adata": query, "cells": query.obs_names[0]}),
        "get.marker_motifs": (sl.get.marker_motifs, {"adata": query, "key": "motifs"}),
        "get.portable_reference": (sl.get.portable_reference, {"reference": reference}),
        "tl.marker_peaks": (sl.tl.marker_peaks, {"adata": query}),
        "get.marker_peaks": (sl.get.marker_peaks, {"adata": query}),
        "pl.marker_peaks": (sl.pl.marker_peaks, {"adata": query, "fdr": 1, "return_fig": True}),
        "tl.marker_motifs": (
            sl.tl.marker_motifs,
            {"adata": query, "motifs": planted(query), "fdr": 1.0},
        ),
        "tl.motif_activity": (sl.tl.motif_activity, {"adata": query, "motifs": planted(query)}),
        "tl.gene_activity": (sl.tl.gene_activity, {"adata": query, "genes": GENES}),
        "metrics.integration_report": (
            sl.metrics.integration_report,
            {"data": reference, "labels": "cell_type", "batch": "batch"},
        ),
        "metrics.expression_report": (sl.metrics.expression_report, {"observed": reference, "predicted": reference}),
        "metrics.expression_by_gene": (sl.metrics.expression_by_gene, {"observed": reference, "predicted": reference}),
        "metrics.annotation_report": (sl.metrics.annotation_report, {"truth": truth, "predicted": truth}),
        "datasets.fetch": (sl.datasets.fetch, {"source": "https://example.org/cells.h5ad", "sha256": "0" * 64}),
        "datasets.simulate": (sl.datasets.simulate, {}),
    }


# The k-mers of a sequence are counted without looking at cells. Losses have no key, and may be of one epoch; without a
# column the labels are those that were learned from. What is at no path is downloaded, fragments may be written or not.
NOT_READ = {
    ("tl.embed_peaks", "layer", "nothing"),
    ("pl.training_history", "key", "nothing"),
    ("pl.training_history", "mod", "5"),
    ("pl.training_history", "data", "[1]"),
    ("pl.class_proportions", "labels_key", "None"),
    ("get.evidence", "genes", "None"),
    ("pl.evidence", "genes", "None"),
    ("tl.marker_peaks", "genes", "None"),
    ("tl.marker_motifs", "peaks", "None"),
    ("datasets.fetch", "path", "None"),
    ("datasets.simulate", "fragments", "None"),
    ("datasets.simulate", "fragments", "nothing.tsv"),
}


def wrong_values(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield parameters with values that are wrong by their annotations or meaning."""
    for name, parameter in inspect.signature(function).parameters.items():
        kinds = str(parameter.annotation).split(" | ")
        values = list(SPECIAL.get(name, []))
        for kind in kinds:
            values += WRONG.get(kind, []) if name not in SPECIAL else []
        for value in values:
            right = [_checks._KINDS[kind][1](value) for kind in kinds if kind in _checks._KINDS]
            if name in SPECIAL or not any(right) or _is_out_of_range(name, value):
                yield name, value


def _is_out_of_range(name: str, value: Any) -> bool:
    is_number = isinstance(value, float | int)
    return is_number and not (np.isfinite(value) and _checks.RANGES.get(name, _checks._ANY).holds(value))


NAMES = [
    f"{room.__name__.removeprefix('scllmda.')}.{name}"
    for room in (sl.io, sl.tl, sl.pp, sl.pl, sl.get, sl.metrics, sl.datasets)
    for name in room.__all__
    if inspect.signature(getattr(room, name)).parameters
]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values_are_named_and_nothing_is_changed(
    name: str, objects: dict[str, ad.AnnData], files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever gets here has begun to work.
    def work(*_: Any, **__: Any) -> Any:
        msg = "worked before looking at the parameters"
        raise AssertionError(msg)

    begins = {
        "tl.annotate": ["tl._sources.space_of_two", "tl._sources.frozen_space", "tl._label_cells.run"],
        "tl.graph_da_annotate": ["tl._label_cells.run"],
        "tl.cell_embeddings": ["tl._cell_embeddings.fit"],
        "tl.map_cells": ["tl._map_cells.map_blocks"],
        "tl.footprint": ["tl._footprint.open_dna"],
        "tl.check_reference": ["tl._check_reference.fit"],
        "tl.embed_peaks": ["tl._embed_peaks.encode_sequences"],
        "tl.pretrain": ["methods._pretraining._train_epoch"],
        "tl.marker_peaks": ["tl._marker_peaks.compare"],
        "tl.marker_motifs": ["tl._peak_motifs.motifs_in"],
        "tl.motif_activity": ["tl._peak_motifs.motifs_in"],
        "tl.gene_activity": ["_counts.CountBlocks.onto"],
        "metrics.integration_report": ["metrics._integration_report.distance_sums"],
        "metrics.expression_report": ["metrics._gene_scores._scores"],
        "metrics.expression_by_gene": ["metrics._gene_scores._scores"],
        "tl.predict_expression": ["tl._sources.space_of_two"],
        "pl.report": ["pl._report.ReportFigures"],
        "pp.count_fragments": ["pp._count_fragments.count"],
        "pp.peak_islands": ["pp._peak_islands.island_values"],
        "pp.peak_sequences": ["pp._peak_sequences.peak_windows"],
        "datasets.fetch": ["datasets._fetch._download"],
    }
    for begin in begins.get(name, ()):
        monkeypatch.setattr(f"scllmda.{begin}", work)
    function, arguments = calls(objects, files)[name]
    before = {what: snapshot(adata) for what, adata in objects.items()}
    problems = []
    for parameter, value in wrong_values(function):
        if (name, parameter, str(value)) in NOT_READ:
            continue
        try:
            function(**{**arguments, parameter: value})
        except NAMED as error:
            text = str(error)
            # An object is named by what it should be, a column by its own name.
            if not any(word in text for word in (parameter, repr(value), "AnnData", "fitted", "known")):
                problems.append(f"{parameter}={value!r}: {type(error).__name__}: {text}")
        except Exception as error:  # all others are to be listed
            problems.append(f"{parameter}={value!r}: {type(error).__name__}: {error}")
        else:
            problems.append(f"{parameter}={value!r} is taken")
    assert not problems, "\n".join(problems)
    for what, adata in objects.items():
        assert added(before[what], snapshot(adata)) == set()


@pytest.mark.parametrize("name", list(RECIPES))
def test_wrong_constants_are_named(name: str) -> None:
    make: Callable[[Any], Any] = methods.make_novelty_recipe
    if name in OF_EXPRESSION:

        def make(overrides: Any) -> Any:
            return methods.make_expression_recipe(OF_EXPRESSION[name], overrides)

    elif name != "novelty":

        def make(overrides: Any) -> Any:
            return methods.make_recipe(name, overrides)

    problems = []
    for field in fields(RECIPES[name]):
        kinds = str(field.type).split(" | ")
        assert set(kinds) <= set(_checks._KINDS), field.name
        values = [v for v in WRONG.get(kinds[0], [[], [0], [1.5], ["a"], 3, None]) if v is not None or len(kinds) == 1]
        for value in values:
            try:
                make({field.name: value})
            except (TypeError, ValueError) as error:
                if f"{field.name}=" not in str(error):
                    problems.append(f"{field.name}={value!r}: {error}")
            else:
                problems.append(f"{field.name}={value!r} is taken")
    # A number that any is right for would have been listed.
    assert not problems, "\n".join(problems)
    defaults = RECIPES[name]()
    assert make({field.name: getattr(defaults, field.name) for field in fields(defaults)}) == defaults


def _is_numeric(field: Field[Any]) -> bool:
    return str(field.type) in _checks._NUMERIC


def test_every_number_has_a_range() -> None:
    """What a number may be is known of each, so that none is forgotten."""
    numbers = {field.name for recipe in RECIPES.values() for field in fields(recipe) if _is_numeric(field)}
    for name in NAMES:
        room, function = name.split(".")
        if room != "datasets":
            parameters = inspect.signature(getattr(getattr(sl, room), function)).parameters.values()
            numbers |= {p.name for p in parameters if {"int", "float"} & set(str(p.annotation).split(" | "))}
    assert numbers - {"unlabeled"} <= set(_checks.RANGES)
    assert set(_checks.RANGES) <= numbers
