"""Labels as users have them: few cells, many classes, names and kinds that files or tables could stumble over."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData, read_h5mu
from tests._objects import assert_refused, assert_same_annotation

import scllmda as sl
from scllmda._label_text import as_text

NETWORKS = {"annatac", "epifoundation", "scllmda", "seqalignatac"}
# The networks only have to run; neighbors have to be fewer than the cells of a type.
RECIPES: dict[str, dict[str, Any]] = {
    "annatac": {"preset": "small", "n_epochs": 2},
    "epifoundation": {"preset": "small", "n_epochs": 2},
    "scllmda": {"n_epochs": 2},
    "seqalignatac": {"n_epochs": 2},
    "lsi_knn": {"n_neighbors": 3},
}

each_method = pytest.mark.parametrize("method", list(sl.get.methods().index))
SECOND_STAGES = [name for name in sl.get.methods().index if name not in {"annatac", "epifoundation"}]
"""Methods that run on a representation that is given."""
each_second_stage = pytest.mark.parametrize("method", SECOND_STAGES)


@pytest.fixture(autouse=True)
def _harmony(request: pytest.FixtureRequest) -> None:
    if "harmony_lr" in request.node.name:
        pytest.importorskip("harmonypy")


def blobs(labels: Any, truth: Any, *, seed: int = 0) -> AnnData:
    """Return cells around a center per true type, far apart."""
    rng = np.random.default_rng(seed)
    codes = pd.factorize(np.asarray(truth, dtype=object))[0]
    X = 6 * rng.standard_normal((codes.max() + 1, 16))[codes] + 0.5 * rng.standard_normal((len(codes), 16))
    obs = pd.DataFrame({"truth": np.asarray(truth)}, index=[f"cell {i}" for i in range(len(codes))])
    obs["cell_type"] = pd.Series(labels).array
    return AnnData(obs=obs, obsm={"X_scllmda": X.astype(np.float32)})


def from_blobs(reference: list[Any], query: list[Any]) -> AnnData:
    """Return labeled and unlabeled cells of the given types."""
    return blobs([*reference, *([None] * len(query))], [*reference, *query])


@cache
def _simulated() -> tuple[AnnData, AnnData]:
    reference, query = sl.datasets.simulate(n_reference=90, n_query=60, n_peaks=500, n_types=4, depth=0.3)
    del reference.var["sequence"], query.var["sequence"]
    return reference, query


def pair(labels: Any = None) -> tuple[AnnData, AnnData]:
    """Return a fresh reference, with labels of one's own, and query."""
    reference, query = (adata.copy() for adata in _simulated())
    if labels is not None:
        reference.obs["cell_type"] = pd.Series(labels, index=reference.obs_names)
    return reference, query


def annotated(tool: Any, *objects: Any, method: str = "lsi_knn", **options: Any) -> AnnData:
    """Return an annotated copy; with the quickest method, as none sees names."""
    options = {"method": method, "recipe": RECIPES.get(method), "max_false_rejection": None, "copy": True, **options}
    if tool is sl.tl.annotate:
        return tool(*objects, **{"n_latent": 8, **options})
    return tool(*objects, "cell_type", **options)


def assert_sound(adata: AnnData, classes: list[str], query: Any = slice(None)) -> None:
    """Assert what holds for every annotation of cells with open peaks, of which none is rejected."""
    assert adata.uns["scllmda"]["classes"].tolist() == classes
    proba, obs = adata.obsm["scllmda_proba"].iloc[query], adata.obs.iloc[query]
    values = proba.to_numpy()
    assert values.shape[1] == len(classes)
    assert (values >= 0).all()
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(obs["scllmda_raw"], np.array(classes, dtype=object)[values.argmax(axis=1)])
    np.testing.assert_array_equal(obs["scllmda"], obs["scllmda_raw"])
    np.testing.assert_array_equal(obs["scllmda_score"], values.max(axis=1))
    assert obs["scllmda_novelty"].between(0, 1).all()
    assert np.isfinite(adata.obsm["X_scllmda_da"]).all()


def assert_right(adata: AnnData, method: str, query: Any) -> None:
    """Assert that blobs are told apart, by all that do not have to be trained for long."""
    if method not in NETWORKS:
        obs = adata.obs.iloc[query]
        np.testing.assert_array_equal(obs["scllmda_raw"].astype(str), obs["truth"].astype(str))


class TestFewAndMany:
    """Each method, on a representation and from counts."""

    @each_second_stage
    def test_a_type_of_one_cell(self, method: str) -> None:
        found = annotated(
            sl.tl.graph_da_annotate, from_blobs(["A"] * 20 + ["B"] * 20 + ["rare"], list("AB") * 10), method=method
        )
        assert_sound(found, ["A", "B", "rare"], slice(41, None))
        assert_right(found, method, slice(41, None))

    @each_second_stage
    def test_types_of_one_cell_only(self, method: str) -> None:
        found = annotated(sl.tl.graph_da_annotate, from_blobs(list("ABCD"), list("ABCD")), method=method)
        assert_sound(found, list("ABCD"), slice(4, None))

    @pytest.mark.parametrize("n", [1, 2])
    @each_method
    def test_few_query_cells(self, n: int, method: str) -> None:
        reference, query = pair()
        types = sorted(reference.obs["cell_type"].unique())
        assert_sound(annotated(sl.tl.annotate, query[:n], reference, method=method), types)
        if method in SECOND_STAGES:
            found = annotated(sl.tl.graph_da_annotate, from_blobs(list("ABC") * 10, ["B"] * n), method=method)
            assert_sound(found, list("ABC"), slice(30, None))
            assert_right(found, method, slice(30, None))

    @each_method
    def test_a_type_of_one_cell_from_counts(self, method: str) -> None:
        labels = pair()[0].obs["cell_type"].astype(str)
        labels.iloc[0] = "rare"
        reference, query = pair(labels)
        assert_sound(annotated(sl.tl.annotate, query, reference, method=method), sorted(labels.unique()))

    @each_method
    def test_a_query_of_novel_types_only(self, method: str) -> None:
        reference, query = pair()
        is_known = [adata.obs["cell_type"].isin(["B", "Plasma"]).to_numpy() for adata in (reference, query)]
        found = annotated(sl.tl.annotate, query[~is_known[1]], reference[is_known[0]], method=method)
        assert_sound(found, ["B", "Plasma"])

    @each_second_stage
    def test_novel_types_get_lower_scores(self, method: str) -> None:
        new = [f"new {i}" for i in range(8)]
        found = annotated(sl.tl.graph_da_annotate, from_blobs(list("ABC") * 20, new * 20), method=method)
        assert_sound(found, list("ABC"), slice(60, None))
        if method not in NETWORKS:
            known = annotated(sl.tl.graph_da_annotate, from_blobs(list("ABC") * 20, list("ABC") * 50), method=method)
            scores = [adata.obs["scllmda_score"].iloc[60:].mean() for adata in (found, known)]
            assert scores[0] < scores[1]

    @each_method
    def test_types_absent_from_the_query(self, method: str) -> None:
        reference, query = pair()
        types = sorted(reference.obs["cell_type"].unique())
        found = annotated(sl.tl.annotate, query[query.obs["cell_type"] == "B"], reference, method=method)
        assert_sound(found, types)
        for column in ("scllmda", "scllmda_raw"):
            # Categories are the labels that occur: others cannot be grouped by.
            in_order = [name for name in reference.obs["cell_type"].cat.categories if (found.obs[column] == name).any()]
            assert found.obs[column].cat.categories.tolist() == in_order
        if method in SECOND_STAGES:
            found = annotated(sl.tl.graph_da_annotate, from_blobs(list("ABCDE") * 10, ["B"] * 20), method=method)
            assert_sound(found, list("ABCDE"), slice(50, None))
            assert_right(found, method, slice(50, None))

    @each_second_stage
    def test_200_types(self, method: str) -> None:
        names = [f"type {i:03}" for i in range(200)]
        found = annotated(sl.tl.graph_da_annotate, from_blobs(names * 3, names[:100]), method=method)
        assert_sound(found, names, slice(600, None))
        assert_right(found, method, slice(600, None))


def test_as_many_types_as_reference_cells() -> None:
    names = [f"type {i:02}" for i in range(90)]
    reference, query = pair(names)
    assert_sound(annotated(sl.tl.annotate, query, reference, method="robust"), names)


NAMES = [
    *("B cell", " B cell", "B cell ", "B  cell", "B/T", "B/T/NK", "/", "αβ T", "naïve", "细胞", "🧬", "T🧬", "B" * 200),
    *(
        "nan",
        "None",
        "NA",
        "Unassigned",
        "-",
        "?",
        " ",
        "\t",
        "a\nb",
        "c:\\d",
        "a.b",
        "...",
        "%",
        '"',
        "'",
        "0",
        "True",
    ),
    *(
        "scllmda",
        "scllmda_raw",
        "scllmda_score",
        "X_scllmda_da",
        "cell_type",
        "index",
        "__type",
        "label",
        "raw",
        "score",
    ),
]
"""Each a class of its own."""


@pytest.fixture(scope="module")
def by_name() -> AnnData:
    """Return an annotation of classes with such names; not to be changed."""
    return annotated(sl.tl.graph_da_annotate, from_blobs(NAMES * 3, NAMES))


class TestNames:
    def test_are_kept(self, by_name: AnnData) -> None:
        query = slice(3 * len(NAMES), None)
        assert_sound(by_name, sorted(NAMES), query)
        np.testing.assert_array_equal(by_name.obs["scllmda_raw"].iloc[query].astype(object), NAMES)
        assert by_name.obs["scllmda"].cat.categories.tolist() == sorted(NAMES)
        assert by_name.obsm["scllmda_proba"].columns.tolist() == [name.replace("/", "\u2215") for name in sorted(NAMES)]
        assert by_name.obs.columns.tolist() == ["truth", "cell_type", *(c for c in by_name.obs if "scllmda" in c)]

    @pytest.mark.parametrize("form", ["h5ad", "zarr", "h5mu"])
    def test_survive_files(self, by_name: AnnData, form: str, tmp_path: Path) -> None:
        path = tmp_path / f"annotated.{form}"
        if form == "h5mu":
            MuData({"atac": by_name.copy()}).write(path)
            found = read_h5mu(path)["atac"]
        else:
            getattr(by_name, f"write_{form}")(path)
            found = getattr(ad, f"read_{form}")(path)
        assert_same_annotation(found, by_name)
        table = sl.get.annotation(found, proba=True)
        assert table.columns.tolist() == ["label", "raw", "score", "novelty", *sorted(NAMES)]
        pd.testing.assert_frame_equal(table, sl.get.annotation(by_name, proba=True))

    def test_from_a_reference(self, tmp_path: Path) -> None:
        reference, query = pair(np.resize(NAMES, 90))
        found = annotated(sl.tl.annotate, query, reference)
        assert_sound(found, sorted(NAMES))
        for form in ("h5ad", "zarr"):
            getattr(found, f"write_{form}")(tmp_path / f"annotated.{form}")
            assert_same_annotation(getattr(ad, f"read_{form}")(tmp_path / f"annotated.{form}"), found)

    def test_name_of_the_index(self) -> None:
        reference, query = pair()
        query.obs_names.name = "B"
        match = r"label 'B' of \.obs\['cell_type'\] is the name of \.obs_names.*adata\.obs_names\.name = None"
        assert_refused(sl.tl.annotate, query, reference, ValueError, match)
        adata = from_blobs(["A", "B"] * 10, ["B"])
        adata.obs_names.name = "B"
        with pytest.raises(ValueError, match=match):
            sl.tl.graph_da_annotate(adata, "cell_type")

    @pytest.mark.parametrize("name", ["", ".", "..", "_index", "a\0b"])
    def test_that_files_cannot_hold(self, name: str) -> None:
        match = (
            rf"the label {re.escape(repr(name))} of \.obs\['cell_type'\] \(45 cells\).*Rename it, or pass unlabeled="
        )
        reference, query = pair(["B", name] * 45)
        assert_refused(sl.tl.annotate, query, reference, ValueError, match)
        adata = from_blobs(["B", name] * 45, ["B"])
        with pytest.raises(ValueError, match=match):
            sl.tl.graph_da_annotate(adata, "cell_type")

    def test_empty_names_can_mark_unlabeled_cells(self) -> None:
        adata = blobs(["A", "B"] * 10 + [""] * 5, ["A", "B"] * 10 + ["A"] * 5)
        found = annotated(sl.tl.graph_da_annotate, adata, unlabeled="")
        assert_sound(found, ["A", "B"], slice(20, None))
        assert_right(found, "lsi_knn", slice(20, None))

    def test_that_columns_cannot_tell_apart(self) -> None:
        adata = from_blobs(["B/T", "B\u2215T", "NK"] * 10, ["NK"])
        with pytest.raises(ValueError, match=r"'B/T' and 'B.T' of \.obs\['cell_type'\].*U\+2215.*Rename one"):
            sl.tl.graph_da_annotate(adata, "cell_type")


TRUTH = np.arange(30) % 3
"""Of 30 labeled cells."""

KINDS: list[Any] = [
    pytest.param(TRUTH, ["0", "1", "2"], id="integer"),
    pytest.param(TRUTH - 1, ["-1", "0", "1"], id="negative"),
    pytest.param(TRUTH.astype(np.uint8), ["0", "1", "2"], id="uint8"),
    pytest.param(TRUTH * 1e6, ["0", "1000000", "2000000"], id="float"),
    pytest.param(TRUTH / 2, ["0.0", "0.5", "1.0"], id="fraction"),
    pytest.param(TRUTH == 1, ["False", "True"], id="boolean"),
    pytest.param(pd.array(TRUTH, dtype="Int64"), ["0", "1", "2"], id="Int64"),
    pytest.param(pd.array(TRUTH == 1, dtype="boolean"), ["False", "True"], id="nullable boolean"),
    pytest.param(pd.array(np.array(list("abc"))[TRUTH], dtype="string"), ["a", "b", "c"], id="string"),
    pytest.param(np.array(["a", 1, True], dtype=object)[TRUTH], ["1", "True", "a"], id="mixed"),
    pytest.param(
        pd.Categorical.from_codes(TRUTH, list("zyxw"), ordered=True), ["x", "y", "z"], id="ordered, with unused levels"
    ),
    pytest.param(pd.Categorical.from_codes(TRUTH, [10, 9, 8, 7]), ["10", "8", "9"], id="categories of integers"),
    pytest.param(pd.Categorical.from_codes(TRUTH % 2, [False, True]), ["False", "True"], id="categories of booleans"),
]


@pytest.mark.parametrize(("values", "names"), KINDS)
class TestKinds:
    def test_of_one_object(self, values: Any, names: list[str], tmp_path: Path) -> None:
        truth = as_text(pd.Series([*values, *values[:6]], dtype=object))
        # As objects: with a missing value, integers would be floats.
        adata = blobs(pd.Series([*values, *([None] * 6)], dtype=object), truth)
        found = annotated(sl.tl.graph_da_annotate, adata)
        assert_sound(found, names, slice(30, None))
        assert not found.obs["scllmda"].cat.ordered
        assert sorted(found.obs["scllmda"].cat.categories) == names
        np.testing.assert_array_equal(found.obs["scllmda"].astype(str), truth)
        del found.obs["cell_type"]
        found.write_h5ad(tmp_path / "annotated.h5ad")
        assert_same_annotation(ad.read_h5ad(tmp_path / "annotated.h5ad"), found)

    def test_of_a_reference(self, values: Any, names: list[str]) -> None:
        reference, query = pair(pd.Series(values).take(np.resize(np.arange(30), 90)).array)
        found = annotated(sl.tl.annotate, query, reference)
        assert_sound(found, names)
        order = as_text(pd.Series(pd.Categorical(values).categories)) if hasattr(values, "categories") else names
        found_names = set(found.obs["scllmda"])
        assert found.obs["scllmda"].cat.categories.tolist() == [name for name in order if name in found_names]


@pytest.mark.parametrize(
    "missing",
    [
        pd.array([0, 1, 2] * 10 + [None] * 6, dtype="Int64"),
        pd.array(list("abc") * 10 + [None] * 6, dtype="string"),
        pd.array([True, False, None] * 12, dtype="boolean"),
        pd.Categorical(list("abc") * 10 + [None] * 6, categories=list("cbad"), ordered=True),
        np.array(list("abc") * 10 + [np.nan, None, pd.NA, pd.NaT, np.nan, None], dtype=object),
    ],
    ids=["Int64", "string", "boolean", "ordered", "object"],
)
def test_kinds_of_missing_labels(missing: Any) -> None:
    labels = pd.Series(missing)
    adata = blobs(labels, ["a", "b", "c"] * 12)
    found = annotated(sl.tl.graph_da_annotate, adata)
    assert_sound(found, sorted({str(label) for label in labels.dropna()}), np.flatnonzero(labels.isna()))
    np.testing.assert_array_equal(found.obs["scllmda"][labels.notna().to_numpy()], labels.dropna().astype(str))


def test_integers_with_holes_stay_integers() -> None:
    adata = blobs(pd.Series([1, 2] * 10 + [None] * 5, dtype=float), [1, 2] * 10 + [1] * 5)
    found = annotated(sl.tl.graph_da_annotate, adata)
    assert_sound(found, ["1", "2"], slice(20, None))
    report = sl.metrics.annotation_report(pd.Series([1.0, np.nan, 2.0]), ["1", "2", "2"])
    assert report["accuracy"] == 1
    assert report["n_cells"] == 2


@pytest.mark.parametrize("text", ["nan", "NA", "None", "<NA>", "Unknown", " ", "Unassigned"])
def test_labels_that_look_like_none(text: str, warnings: list[str]) -> None:
    labels = ["A", text, "B"] * 10
    adata = from_blobs(labels, list("AB") * 5)
    annotated(sl.tl.graph_da_annotate, adata)
    (warning,) = [w for w in warnings if "look like none" in w]
    assert f"10 cells have {text!r}" in warning
    mend = re.search(r"unlabeled=(\[.*\])", warning)
    assert mend is not None
    warnings.clear()
    found = annotated(sl.tl.graph_da_annotate, adata, unlabeled=eval(mend[1]))
    assert warnings == []
    assert found.uns["scllmda"]["classes"].tolist() == ["A", "B"]


@pytest.mark.parametrize("other", ["B ", " B", "b", "B\t"])
def test_labels_that_differ_by_blanks_or_case(other: str, warnings: list[str]) -> None:
    adata = from_blobs(["A", "B", "B", other] * 10, list("AB") * 5)
    annotated(sl.tl.graph_da_annotate, adata)
    (warning,) = [w for w in warnings if "differ by blanks or case" in w]
    mend = warning.split("If they are one: ")[1].removesuffix(".")
    warnings.clear()
    exec(mend, {"adata": adata})
    found = annotated(sl.tl.graph_da_annotate, adata)
    assert warnings == []
    assert len(found.uns["scllmda"]["classes"]) == 2
    assert adata.obs["cell_type"].isna().sum() == 10


@pytest.mark.parametrize("unlabeled", [-1, "-1"])
def test_a_number_can_mark_unlabeled_cells(unlabeled: Any) -> None:
    adata = blobs(pd.Series([0, 1] * 10 + [-1] * 5), [0, 1] * 10 + [1] * 5)
    found = annotated(sl.tl.graph_da_annotate, adata, unlabeled=unlabeled)
    assert_sound(found, ["0", "1"], slice(20, None))
    assert_right(found, "lsi_knn", slice(20, None))


def test_alphabets_do_not_change_labels() -> None:
    """Names order the classes, and nothing else."""
    adata = from_blobs(list("ABC") * 10, list("ABC") * 5)
    other = adata.copy()
    for column in ("cell_type", "truth"):
        other.obs[column] = other.obs[column].map(dict(zip("ABC", "αβγ", strict=True)))
    one, two = annotated(sl.tl.graph_da_annotate, adata), annotated(sl.tl.graph_da_annotate, other)
    np.testing.assert_array_equal(one.obsm["scllmda_proba"], two.obsm["scllmda_proba"])
