"""Whole published systems, from objects to slots: which stages ran, and on what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from tests._objects import added, annotated, annotation_keys, assert_same_annotation, change_labels, pair, snapshot

import scllmda as sl

SYSTEMS = ["scllmda", "seqalignatac"]
each = pytest.mark.parametrize("method", SYSTEMS)
QUICK: dict[str, Any] = {"cell_epochs": 3, "cell_hidden": (16, 8), "n_epochs": 3}


@each
def test_both_stages_run(method: str, warnings: list[str]) -> None:
    reference, query = pair(sequence=True)
    before, of_reference = snapshot(query), snapshot(reference)
    sl.tl.annotate(query, reference, method=method, recipe=QUICK)
    assert added(before, snapshot(query)) == annotation_keys()
    assert added(of_reference, snapshot(reference)) == set()
    uns = query.uns["scllmda"]
    assert {name: len(uns["history"][name]) for name in ("cell_loss", "loss", "domain_loss")} == {
        "cell_loss": 3,
        "loss": 3,
        "domain_loss": 3,
    }
    assert uns["params"]["recipe"]["cells"] == "network"
    assert uns["params"]["n_latent"] == 8
    coverage = uns["coverage"]
    assert (coverage["sequence"], coverage["sequence_side"], coverage["n_own"]) == (".var['sequence']", "reference", 0)
    assert not [w for w in warnings if "second stage" in w]


@each
def test_learns_the_types(method: str) -> None:
    reference, query = sl.datasets.simulate(n_reference=300, n_query=150, n_peaks=1500, n_types=3, shift=0)
    n_epochs = {"scllmda": 55, "seqalignatac": 200}[method]
    recipe = {"cell_epochs": 150, "cell_hidden": (64, 32), "cell_lr": 3e-3, "n_epochs": n_epochs}
    done = annotated(query, reference, method=method, recipe=recipe)
    assert (done.obs["scllmda_raw"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.75


@each
def test_without_sequence_the_second_stage_runs_and_says_so(method: str, warnings: list[str]) -> None:
    reference, query = pair()
    done = annotated(query, reference, method=method, recipe={"n_epochs": 3})
    (told,) = [w for w in warnings if "second stage" in w]
    assert f"Of method={method!r} the second stage alone runs" in told
    assert "recipe={'cells': 'factorisation'}" in told
    recipe = done.uns["scllmda"]["params"]["recipe"]
    assert recipe["cells"] == "factorisation"
    assert not {name for name in recipe if name.startswith("cell_")}, "constants that were not read"
    warnings.clear()
    asked = annotated(query, reference, method=method, recipe={"n_epochs": 3, "cells": "factorisation"})
    assert not [w for w in warnings if "second stage" in w]
    assert_same_annotation(asked, done)


@each
def test_the_variant_is_the_second_stage_on_the_package_s_embedding(method: str) -> None:
    reference, query = pair(sequence=True)
    done = annotated(query, reference, method=method, recipe={"n_epochs": 3, "cells": "factorisation"})
    robust = annotated(query, reference)
    assert done.uns["scllmda"]["coverage"] == robust.uns["scllmda"]["coverage"]
    assert "cell_loss" not in done.uns["scllmda"]["history"]


def test_sequences_of_the_query_alone() -> None:
    reference, query = pair(sequence=True)
    del reference.var["sequence"]
    coverage = annotated(query, reference, method="scllmda", recipe=QUICK).uns["scllmda"]["coverage"]
    assert coverage["sequence_side"] == "query"


def test_one_object() -> None:
    reference, _ = pair(sequence=True)
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str)
    reference.obs.iloc[:40, reference.obs.columns.get_loc("cell_type")] = "unknown"
    done = annotated(reference, method="scllmda", recipe=QUICK)
    assert done.uns["scllmda"]["coverage"]["sequence_side"] == "both"
    assert len(done.uns["scllmda"]["history"]["cell_loss"]) == 3


@each
def test_same_seed_same_bytes_and_no_label_of_the_query_is_read(method: str) -> None:
    reference, query = pair(sequence=True)
    first = annotated(query, reference, method=method, recipe=QUICK)
    change_labels(query, "permuted")
    assert_same_annotation(annotated(query, reference, method=method, recipe=QUICK), first)


@each
@pytest.mark.parametrize("what", ["peaks", "cells"])
def test_the_order_does_not_matter(method: str, what: str) -> None:
    reference, query = pair(sequence=True)
    order = np.random.default_rng(0).permutation(query.n_vars if what == "peaks" else query.n_obs)
    other = query[:, order].copy() if what == "peaks" else query[order].copy()
    first = annotated(query, reference, method=method, recipe=QUICK)
    again = annotated(other, reference, method=method, recipe=QUICK)[query.obs_names]
    np.testing.assert_allclose(
        again.obsm["scllmda_proba"].to_numpy(), first.obsm["scllmda_proba"].to_numpy(), atol=1e-6
    )


@each
def test_a_frozen_reference_is_refused_with_the_way_out(method: str) -> None:
    reference, query = pair(sequence=True)
    sl.tl.embed_peaks(reference)
    sl.tl.cell_embeddings(reference, n_latent=16)
    with pytest.raises(ValueError, match=r"found a frozen reference.*or recipe=\{'cells': 'factorisation'\}"):
        sl.tl.annotate(query, reference, method=method, frozen=True)
    done = sl.tl.annotate(
        query, reference, method=method, frozen=True, recipe={"cells": "factorisation", "n_epochs": 2}, copy=True
    )
    assert "scllmda" in done.obs


def test_a_method_that_cannot_do_without_dna_says_so() -> None:
    from dataclasses import replace

    from scllmda.methods import METHODS

    stern = replace(METHODS["scllmda"], without_sequence={})
    reference, query = pair()
    with pytest.raises(ValueError, match=r"reads the DNA under the peaks, and there is none. Pass genome="):
        sl.tl.annotate(query, reference, method=stern)


class TestCellEmbeddings:
    @pytest.fixture
    def embedded(self) -> AnnData:
        reference, _ = pair(sequence=True)
        sl.tl.embed_peaks(reference)
        return reference

    @each
    def test_first_stage_alone(self, embedded: AnnData, method: str) -> None:
        sl.tl.cell_embeddings(embedded, model=method, n_latent=8, recipe={"cell_epochs": 3, "cell_hidden": (16, 99)})
        assert embedded.obsm["X_scllmda"].shape == (150, 8)
        assert embedded.varm["X_scllmda"].shape == (embedded.n_vars, 8)
        uns = embedded.uns["X_scllmda"]
        assert len(uns["history"]["cell_loss"]) == 3
        assert uns["params"]["model"] == method
        assert uns["params"]["recipe"]["cell_hidden"] == [16, 8]

    def test_old_names_of_models_are_deprecated(self, embedded: AnnData) -> None:
        with pytest.warns(FutureWarning, match=r"recipe='published'\) is deprecated.*pass model='scllmda'"):
            sl.tl.cell_embeddings(embedded, recipe="published", n_latent=4, n_epochs=1)
        assert embedded.uns["X_scllmda"]["params"]["model"] == "scllmda"
        with pytest.warns(FutureWarning, match="pass model='factorisation'"):
            sl.tl.cell_embeddings(embedded, recipe="default", n_latent=4)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"model": "lsi_lr"}, r"Unknown model 'lsi_lr'; expected one of \['factorisation', 'scllmda', 'seqal"),
            ({"recipe": {"cell_epochs": 3}}, r"has no effect with model='factorisation'"),
            ({"model": "scllmda", "recipe": {"n_epochs": 3}}, r"\['n_epochs'\] in recipe= have no effect"),
            ({"model": "scllmda", "recipe": {"cells": "network"}}, r"\['cells'\] in recipe= have no effect"),
            ({"model": "scllmda", "recipe": {"epochs": 3}}, r"has no \['epochs'\] in its recipe"),
            ({"model": "scllmda", "domain_key": "batch"}, r"domain_key='batch' has no effect with model='scllmda'"),
            ({"recipe": "best"}, r"Found recipe='best'; expected constants by name"),
        ],
    )
    def test_refused(self, embedded: AnnData, options: dict[str, Any], match: str) -> None:
        with pytest.raises(ValueError, match=match):
            sl.tl.cell_embeddings(embedded, n_latent=4, **options)
