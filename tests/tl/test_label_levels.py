"""Labels from coarse to fine."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from tests._objects import annotated, assert_same_annotation, pair, together

import scllmda as sl

LINEAGE = {"CD4 T": "T", "CD8 T": "T", "B": "B lineage", "Plasma": "B lineage"}
LEVELS = ["lineage", "cell_type"]


@pytest.fixture
def objects() -> tuple[AnnData, AnnData]:
    reference, query = pair()
    reference.obs["lineage"] = reference.obs["cell_type"].astype(str).map(LINEAGE)
    return reference, query


def by_hand(query: AnnData, min_probability: float) -> list[str]:
    labels = []
    for row in query.obsm["scllmda_proba"].to_dict("records"):
        of_lineage: dict[str, float] = {}
        for name, probability in row.items():
            of_lineage[LINEAGE[name]] = of_lineage.get(LINEAGE[name], 0) + probability
        lineage = max(of_lineage, key=of_lineage.__getitem__)
        finest = max((name for name in row if LINEAGE[name] == lineage), key=row.__getitem__)
        labels.append(finest if row[finest] >= min_probability else lineage)
    return labels


@pytest.mark.parametrize("min_probability", [0, 0.5, 0.9])
def test_finest_label_that_is_probable_enough(objects: tuple[AnnData, AnnData], min_probability: float) -> None:
    reference, query = objects
    found = annotated(query, reference, labels_key=LEVELS, min_probability=min_probability, recipe={"restart": 1.0})
    assert found.obs["scllmda"].tolist() == by_hand(found, min_probability)
    raw = found.obsm["scllmda_proba"].idxmax(axis=1)
    assert (found.obs["scllmda_raw"] == raw).all()
    if min_probability == 0.9:
        assert 0 < found.obs["scllmda"].isin(["T", "B lineage"]).sum() < found.n_obs


def test_probabilities_are_those_of_the_finest_column(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    both, finest = (annotated(query, reference, labels_key=key) for key in (LEVELS, "cell_type"))
    np.testing.assert_array_equal(both.obsm["scllmda_proba"], finest.obsm["scllmda_proba"])
    assert (both.obs["scllmda_raw"] == finest.obs["scllmda"]).all()


def test_one_column_in_a_list_is_that_column(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    found = annotated(query, reference, labels_key=["cell_type"])
    expected = annotated(query, reference)
    assert found.uns["scllmda"]["params"].pop("labels_key") == ["cell_type"]
    assert expected.uns["scllmda"]["params"].pop("labels_key") == "cell_type"
    assert_same_annotation(found, expected)


def test_novel_cells_are_unassigned_at_every_level(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    found = annotated(query, reference, labels_key=LEVELS, max_false_rejection=0.2)
    alone = annotated(query, reference, max_false_rejection=0.2)
    rejected = found.obs["scllmda"] == "Unassigned"
    assert rejected.any()
    assert (rejected == (alone.obs["scllmda"] == "Unassigned")).all()


def test_in_one_object_labeled_cells_keep_the_finest_label() -> None:
    adata = together()
    adata.obs["lineage"] = adata.obs["truth"].map(LINEAGE)
    labeled = (adata.obs["cell_type"] != "unknown").to_numpy()
    found = sl.tl.annotate(adata, labels_key=LEVELS, min_probability=1, n_latent=16, copy=True)
    assert (found.obs["scllmda"][labeled] == adata.obs["cell_type"][labeled]).all()
    assert set(found.obs["scllmda"][~labeled]) <= {*LINEAGE.values(), "Unassigned"}
    # Their lineage is known, and not read.
    adata.obs.loc[~labeled, "lineage"] = np.random.default_rng(0).permutation(adata.obs["lineage"][~labeled])
    assert_same_annotation(sl.tl.annotate(adata, labels_key=LEVELS, min_probability=1, n_latent=16, copy=True), found)


def test_graph_da_annotate_does_the_same() -> None:
    adata = together()
    adata.obs["lineage"] = adata.obs["truth"].map(LINEAGE)
    sl.tl.cell_embeddings(adata, n_latent=16)
    sl.tl.graph_da_annotate(adata, LEVELS, min_probability=0.9, max_false_rejection=None, recipe={"restart": 1.0})
    query = (adata.obs["cell_type"] == "unknown").to_numpy()
    assert adata.obs["scllmda"][query].tolist() == by_hand(adata[query], 0.9)


@pytest.mark.parametrize("one_object", [True, False])
def test_files_and_figures(objects: tuple[AnnData, AnnData], tmp_path: Path, *, one_object: bool) -> None:
    reference, query = objects
    if one_object:
        adata = together()
        adata.obs["lineage"] = adata.obs["truth"].map(LINEAGE)
        found = sl.tl.annotate(adata, labels_key=LEVELS, min_probability=0.9, n_latent=16, copy=True)
    else:
        found = annotated(query, reference, labels_key=LEVELS, min_probability=0.9)
    found.write_h5ad(tmp_path / "annotated.h5ad")
    again = ad.read_h5ad(tmp_path / "annotated.h5ad")
    assert_same_annotation(again, found)
    assert list(again.uns["scllmda"]["params"]["labels_key"]) == LEVELS
    for figure in (
        sl.pl.transfer_umap(again, return_fig=True),
        sl.pl.confusion(again, truth="truth" if one_object else "cell_type", return_fig=True),
    ):
        shown = {text.get_text() for ax in figure.axes for text in [*ax.get_xticklabels(), *ax.texts]}
        legends = {text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()}
        assert "B lineage" in shown | legends


class TestBadInput:
    def test_label_in_two_parts(self, objects: tuple[AnnData, AnnData]) -> None:
        reference, query = objects
        cell = np.flatnonzero(reference.obs["cell_type"] == "B")[0]
        reference.obs.iloc[cell, reference.obs.columns.get_loc("lineage")] = "T"
        with pytest.raises(ValueError, match=r"'B' in .*'B lineage': \d+, 'T': 1.*from coarse to fine"):
            annotated(query, reference, labels_key=LEVELS)

    def test_fine_before_coarse(self, objects: tuple[AnnData, AnnData]) -> None:
        reference, query = objects
        with pytest.raises(ValueError, match="from coarse to fine"):
            annotated(query, reference, labels_key=LEVELS[::-1])

    def test_coarse_label_missing_in_some_cells_follows_from_the_others(self, objects: tuple[AnnData, AnnData]) -> None:
        reference, query = objects
        expected = annotated(query, reference, labels_key=LEVELS)
        reference.obs.iloc[:5, reference.obs.columns.get_loc("lineage")] = "unknown"
        assert_same_annotation(annotated(query, reference, labels_key=LEVELS), expected)

    def test_coarse_label_missing_in_all_cells(self, objects: tuple[AnnData, AnnData]) -> None:
        reference, query = objects
        reference.obs.loc[reference.obs["cell_type"] == "Plasma", "lineage"] = None
        with pytest.raises(ValueError, match=r"'Plasma' in .* have no label in .obs\['lineage'\]"):
            annotated(query, reference, labels_key=LEVELS)

    def test_no_column(self, objects: tuple[AnnData, AnnData]) -> None:
        with pytest.raises(ValueError, match="labels_key=\\[\\]"):
            annotated(*objects[::-1], labels_key=[])

    def test_unknown_column(self, objects: tuple[AnnData, AnnData]) -> None:
        with pytest.raises(KeyError, match="lineages"):
            annotated(*objects[::-1], labels_key=["lineages", "cell_type"])

    def test_no_share(self, objects: tuple[AnnData, AnnData]) -> None:
        with pytest.raises(ValueError, match=r"min_probability=1\.5"):
            annotated(*objects[::-1], labels_key=LEVELS, min_probability=1.5)
