"""What the panels of a map show, and which map it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from mudata import MuData
from tests._objects import added, annotated, assert_same, pair, snapshot, together
from tests.pl._artists import colors, legend_colors, legend_texts, panels, points

import scllmda as sl
from scllmda.pl import _joint_map
from scllmda.pl._palette import DISTINCT, UNASSIGNED_COLOR

mpl.use("Agg")

ALL = ["domain", "reference labels", "predicted labels", "true labels", "confidence", "novelty"]
LABELS = ALL[1:4]
TYPES = ["B", "CD4 T", "CD8 T", "Plasma"]


@pytest.fixture(scope="module")
def two() -> tuple[AnnData, AnnData]:
    """Return a reference, and its annotated query that has a type of its own, a rejected cell and one without truth."""
    reference, query = pair()
    query = annotated(query, reference)
    label = query.obs["scllmda"].astype(str)
    label.iloc[0] = "Unassigned"
    # No cell is left that gets the last type.
    label[label == TYPES[-1]] = TYPES[0]
    query.obs["scllmda"] = pd.Categorical(label)
    truth = query.obs["cell_type"].astype(object)
    truth.iloc[:3], truth.iloc[3] = "new", None
    query.obs["truth"] = truth
    query.uns["scllmda"]["history"]["novelty_threshold"] = 0.95
    return reference, query


@pytest.fixture
def query(two: tuple[AnnData, AnnData]) -> AnnData:
    return two[1].copy()


@pytest.fixture(autouse=True)
def computed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[int]:
    """Numbers of cells of the maps that were computed; a quick map stands for UMAP."""
    found: list[int] = []

    def leading(X: np.ndarray) -> np.ndarray:
        found.append(len(X))
        return X[:, :2].copy()

    if "real_umap" not in request.fixturenames:
        monkeypatch.setattr(_joint_map, "_umap", leading)
    yield found
    plt.close("all")


@pytest.fixture
def real_umap() -> None:
    """Let UMAP be computed."""


def drawn(adata: Any, **options: Any) -> Any:
    return sl.pl.transfer_umap(adata, return_fig=True, **options)


def at_cells(ax: Any) -> dict[tuple[float, ...], str]:
    """Return the color at each place of what a panel is about."""
    return dict(zip(places(ax.collections[-1].get_offsets()), colors(ax), strict=True))


def places(coordinates: Any) -> list[tuple[float, float]]:
    """Return places that can be compared, whatever their precision."""
    return [(round(float(x), 4), round(float(y), 4)) for x, y in coordinates]


def test_umap_is_computed_once_and_named(
    query: AnnData, monkeypatch: pytest.MonkeyPatch, real_umap: None, tmp_path: Path
) -> None:
    import scanpy as sc

    calls, umap = [], sc.tl.umap
    monkeypatch.setattr(sc.tl, "umap", lambda *a, **k: (calls.append(k), umap(*a, **k)))
    before = snapshot(query)
    first = drawn(query)
    assert calls[0]["key_added"], "what it is called otherwise depends on scanpy's preset"
    kept = query.uns["scllmda"].pop("umap")
    assert added(before, snapshot(query)) == set(), "nothing else is changed"
    query.uns["scllmda"]["umap"] = kept
    assert (kept["coordinates"].shape, kept["coordinates"].dtype) == ((250, 2), np.float32)
    for again in (query, query.copy(), written(query, tmp_path, "h5ad"), written(query, tmp_path, "zarr")):
        second = drawn(again)
        np.testing.assert_array_equal(points(second.axes[0]), points(first.axes[0]))
    assert len(calls) == 1
    separate = np.asarray(kept["coordinates"])
    means = [separate[:150][two_types(query, t)].mean(axis=0) for t in (0, 3)]
    assert np.linalg.norm(means[0] - means[1]) > 1, "types lie apart"


def written(adata: AnnData, folder: Path, ending: str) -> AnnData:
    adata = adata.copy()
    # A column of texts with holes is for the user to mend.
    adata.obs["truth"] = pd.Categorical(adata.obs["truth"])
    if ending == "h5ad":
        adata.write_h5ad(folder / "a.h5ad")
        return ad.read_h5ad(folder / "a.h5ad")
    adata.write_zarr(folder / "a.zarr")
    return ad.read_zarr(folder / "a.zarr")


def two_types(adata: AnnData, code: int) -> np.ndarray:
    return np.asarray(adata.uns["scllmda"]["reference"]["codes"]) == code


def test_map_is_that_of_the_annotation(query: AnnData, computed: list[int]) -> None:
    drawn(query)
    drawn(query)
    assert computed == [250]
    # Another annotation, of as many cells, is left an old map by hand.
    old = query.uns["scllmda"]["umap"]
    query.obsm["X_scllmda_da"] = query.obsm["X_scllmda_da"] + 1
    figure = drawn(query)
    assert computed == [250, 250]
    assert not np.array_equal(query.uns["scllmda"]["umap"]["coordinates"], old["coordinates"])
    few = query[10:60].copy()
    assert len(points(drawn(few).axes[0])) == 200
    assert computed[2:] == [200]
    assert len(points(figure.axes[0])) == 250
    query.uns["scllmda"]["umap"] = np.zeros((250, 2))
    drawn(query)
    assert computed[3:] == [250], "what it is not is not taken for it"


def test_annotating_again_forgets_the_map(computed: list[int]) -> None:
    reference, fresh = pair()
    for seed in (0, 1):
        sl.tl.annotate(fresh, reference, n_latent=16 + seed)
        assert "umap" not in fresh.uns["scllmda"]
        drawn(fresh)
    assert computed == [250, 250]


def test_what_cannot_keep_a_map_is_left_alone(query: AnnData, computed: list[int], tmp_path: Path) -> None:
    view = query[5:50]
    drawn(view)
    assert view.is_view
    assert "umap" not in view.uns["scllmda"]
    query.obs["truth"] = pd.Categorical(query.obs["truth"])
    query.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    drawn(backed)
    assert "umap" not in backed.uns["scllmda"]
    backed.file.close()
    assert computed == [195, 250]


def test_mudata(query: AnnData, computed: list[int], tmp_path: Path) -> None:
    truth = pd.Categorical(query.obs.pop("truth"))
    data = MuData({"peaks": query})
    data.obs["mine"] = truth
    figure = drawn(data, mod="peaks", truth="mine")
    assert list(panels(figure)) == ALL
    assert data.mod["peaks"].uns["scllmda"]["umap"]["coordinates"].shape == (250, 2)
    data.write(tmp_path / "a.h5mu")
    import mudata

    again = drawn(mudata.read_h5mu(tmp_path / "a.h5mu"), mod="peaks", truth="mine")
    assert computed == [250]
    for one, other in zip(panels(figure).values(), panels(again).values(), strict=True):
        np.testing.assert_array_equal(points(one), points(other))


def test_each_cell_has_the_color_of_its_label(two: tuple[AnnData, AnnData], query: AnnData) -> None:
    figure = drawn(query, truth="truth")
    assert list(panels(figure)) == ALL
    of = dict(zip(TYPES, DISTINCT, strict=False)) | {"new": DISTINCT[4], "Unassigned": UNASSIGNED_COLOR}
    at = places(query.uns["scllmda"]["umap"]["coordinates"])
    expected = {
        "reference labels": zip(at[:150], two[0].obs["cell_type"], strict=True),
        "predicted labels": zip(at[150:], query.obs["scllmda"], strict=True),
        "true labels": zip(at[150:], query.obs["truth"], strict=True),
    }
    for name, cells in expected.items():
        ax = panels(figure)[name]
        assert at_cells(ax) == {xy: of[label] for xy, label in cells if label is not None}
        assert len(points(ax)) == 250, "others are faint"
    domain = at_cells(panels(figure)["domain"])
    assert [{domain[xy] for xy in part} for part in (at[:150], at[150:])] == [{"#8c8c8c"}, {"#d95f02"}]


def test_shares_have_a_scale_from_none_to_all(query: AnnData) -> None:
    figure = drawn(query, panels=["confidence", "novelty"])
    for name, column in (("confidence", "scllmda_score"), ("novelty", "scllmda_novelty")):
        found = panels(figure)[name].collections[-1]
        np.testing.assert_allclose(np.sort(found.get_array()), np.sort(query.obs[column]))
        assert found.get_clim() == (0, 1)
    assert "rejected above 0.95" in [ax.get_ylabel() for ax in figure.axes]
    del query.uns["scllmda"]["history"]["novelty_threshold"]
    figure = drawn(query, panels=["confidence", "novelty"])
    assert not any(ax.get_ylabel() for ax in figure.axes)


@pytest.mark.parametrize("chosen", [None, ["predicted labels"], ["true labels"], ["reference labels"], LABELS[1:]])
def test_every_category_of_a_panel_is_in_a_legend(query: AnnData, chosen: list[str] | None) -> None:
    figure = drawn(query, truth="truth", panels=chosen)
    found = legend_colors(figure)
    assert set(TYPES) <= set(found), "also the type that no cell got"
    assert ("Unassigned" in found) == (chosen in (None, ["predicted labels"], LABELS[1:]))
    assert ("new" in found) == (chosen in (None, ["true labels"], LABELS[1:]))
    for name, ax in panels(figure).items():
        if name in LABELS:
            assert set(colors(ax)) <= set(found.values())
    if chosen is None:
        assert {"reference", "query", "other cells"} <= set(found)


@pytest.mark.parametrize("many", [4, 40])
@pytest.mark.parametrize("chosen", [ALL[3:4], ALL[:5]], ids=len)
def test_legends_are_whole_and_on_no_panel(query: AnnData, many: int, chosen: list[str]) -> None:
    query.obs["truth"] = [f"a type with a rather long name, number {i % many}" for i in range(query.n_obs)]
    figure = drawn(query, truth="truth", panels=chosen)
    figure.draw_without_rendering()
    whole = figure.bbox
    boxes = [ax.get_window_extent() for ax in panels(figure).values()]
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    assert legends
    for legend in legends:
        box = legend.get_window_extent()
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= whole.x1 + 1
        assert box.y1 <= whole.y1 + 1
        assert not any(box.overlaps(other) for other in boxes)


def test_panels_in_the_order_asked_for(query: AnnData) -> None:
    assert list(panels(drawn(query))) == [name for name in ALL if name != "true labels"]
    assert list(panels(drawn(query, panels="novelty"))) == ["novelty"]
    assert list(panels(drawn(query, panels=["novelty", "domain"]))) == ["novelty", "domain"]


def test_titles(query: AnnData) -> None:
    assert list(panels(drawn(query, panels="novelty", title="mine"))) == ["mine"]
    assert list(panels(drawn(query, panels=["novelty", "domain"], title=["a", "b"]))) == ["a", "b"]
    figure = drawn(query, panels=["novelty", "domain"], title="over both")
    assert list(panels(figure)) == ["novelty", "domain"]
    assert figure.get_suptitle() == "over both"


def test_given_axes_are_drawn_into(query: AnnData) -> None:
    figure, grid = plt.subplots(2, 2, layout="constrained")
    before = plt.get_fignums()
    found = sl.pl.transfer_umap(query, panels="predicted labels", ax=grid[0, 1], title="paper")
    assert found == [grid[0, 1]]
    assert grid[0, 1].get_title() == "paper"
    assert {*TYPES, "Unassigned"} <= set(legend_texts(grid[0, 1]))
    assert not any(ax.collections for ax in grid.flat if ax is not grid[0, 1])
    names = ["domain", "predicted labels", "reference labels", "novelty"]
    other, places = plt.subplots(2, 2)
    assert sl.pl.transfer_umap(query, panels=names, axes=places) == list(places.flat)
    assert set(TYPES) <= set(legend_texts(places[1, 0])), "the last panel of labels"
    assert places[0, 1].get_legend() is None
    assert sl.pl.transfer_umap(query, panels="domain", ax=grid[0, 0], return_fig=True) is figure
    assert plt.get_fignums() == [*before, other.number], "no figure was made or closed"


def test_palette_and_size(query: AnnData) -> None:
    chosen = {"B": "red", "new": "blue", "Unassigned": "black", "query": "green"}
    figure = drawn(query, truth="truth", palette=chosen, size=7)
    found = legend_colors(figure)
    assert {name: found[name] for name in chosen} == {name: to_hex(color) for name, color in chosen.items()}
    assert found["CD4 T"] == DISTINCT[0]
    assert set(panels(figure)["predicted labels"].collections[-1].get_sizes()) == {7}
    assert legend_colors(drawn(query, palette="Set1"))["B"] == "#e41a1c"


def test_colors_that_objects_hold(two: tuple[AnnData, AnnData], query: AnnData) -> None:
    reference = two[0].copy()
    query.uns["scllmda_colors"] = ["#101010", "#202020", "#303030", "#404040"]
    found = legend_colors(drawn(query))
    assert [found[name] for name in query.obs["scllmda"].cat.categories] == query.uns["scllmda_colors"]
    reference.obs["cell_type"] = pd.Categorical(reference.obs["cell_type"], categories=TYPES)
    reference.uns["cell_type_colors"] = ["#111111", "#222222", "#333333", "#444444"]
    found = legend_colors(drawn(query, reference=reference))
    assert [found[name] for name in TYPES] == reference.uns["cell_type_colors"]
    assert found["Unassigned"] == query.uns["scllmda_colors"][-1]
    assert legend_colors(drawn(query, reference=reference, palette={"B": "red"}))["B"] == "#ff0000"


class TestBasis:
    def test_of_a_query(self, query: AnnData, computed: list[int]) -> None:
        rng = np.random.default_rng(0)
        query.obsm["X_mine"] = rng.standard_normal((100, 3))
        before = snapshot(query)
        for basis in ("X_mine", "mine"):
            figure = drawn(query, basis=basis, truth="truth")
            assert list(panels(figure)) == ALL[2:]
            for ax in panels(figure).values():
                np.testing.assert_allclose(
                    np.sort(points(ax), axis=0), np.sort(query.obsm["X_mine"][:, :2], axis=0), rtol=1e-6
                )
        assert added(before, snapshot(query)) == set()
        assert computed == []

    def test_of_both(self, two: tuple[AnnData, AnnData], query: AnnData, computed: list[int]) -> None:
        reference = two[0].copy()
        reference.obs["cell_type"] = reference.obs["cell_type"].astype(object)
        reference.obs.loc[reference.obs_names[:10], "cell_type"] = "unknown"
        query.obsm["X_umap"], reference.obsm["X_umap"] = np.zeros((100, 2)), np.ones((150, 2))
        figure = drawn(query, basis="X_umap", reference=reference)
        assert len(points(panels(figure)["domain"])) == 240, "labeled cells"
        assert points(panels(figure)["domain"]).sum() == 280
        assert (
            colors(panels(figure)["reference labels"]).count(DISTINCT[0])
            == (reference.obs["cell_type"] == TYPES[0]).sum()
        )
        assert computed == []

    def test_of_one_object(self, one: AnnData, computed: list[int]) -> None:
        one.obsm["X_umap"] = np.arange(2.0 * one.n_obs).reshape(-1, 2)
        figure = drawn(one, basis="X_umap")
        at = at_cells(panels(figure)["predicted labels"])
        assert set(at) == {tuple(xy) for xy in one.obsm["X_umap"][(one.obs["platform"] != "reference").to_numpy()]}
        assert computed == []

    def test_absent(self, two: tuple[AnnData, AnnData], query: AnnData, computed: list[int]) -> None:
        with pytest.raises(KeyError, match=r"Did not find \.obsm\['X_tsne'\] of the data; it has .*Pass basis="):
            drawn(query, basis="X_tsne")
        query.obsm["X_one"] = np.zeros((100, 1))
        with pytest.raises(ValueError, match=r"\.obsm\['X_one'\] of the data is of shape \(100, 1\)"):
            drawn(query, basis="one")
        query.obsm["X_umap"] = np.zeros((100, 2))
        for reference in (None, two[0]):
            with pytest.raises(
                ValueError, match=r"nothing to show in the panel 'domain'\. Pass reference= .*\.obsm\['X_umap'\]"
            ):
                drawn(query, basis="X_umap", panels=["confidence", "domain"], reference=reference)
        assert computed == []


@pytest.fixture(scope="module")
def _one() -> AnnData:
    adata = together()
    # The query first, and in turn.
    adata = adata[np.argsort(np.arange(adata.n_obs) * 97 % adata.n_obs)].copy()
    return sl.tl.annotate(adata, n_latent=16, copy=True)


@pytest.fixture
def one(_one: AnnData) -> AnnData:
    return _one.copy()


def test_one_object(one: AnnData) -> None:
    one.uns["cell_type_colors"] = [f"#0000{i}0" for i in range(1, 6)]
    one.obs["cell_type"] = pd.Categorical(one.obs["cell_type"])
    assert "unknown" in one.obs["cell_type"].cat.categories
    figure = drawn(one, truth="truth")
    of = dict(zip(one.obs["cell_type"].cat.categories, one.uns["cell_type_colors"], strict=True))
    at = places(one.uns["scllmda"]["umap"]["coordinates"])
    is_query = (one.obs["platform"] != "reference").to_numpy()
    for name, cells, labels in (
        ("reference labels", at[:150], one.obs["truth"][~is_query]),
        ("true labels", at[150:], one.obs["truth"][is_query]),
    ):
        expected = {xy: of[label] for xy, label in zip(cells, labels, strict=True)}
        assert at_cells(panels(figure)[name]) == expected
    assert "unknown" not in legend_texts(figure)
    figure = drawn(one, truth="cell_type", panels="true labels")
    assert len(panels(figure)["true labels"].collections[-1].get_offsets()) == 0, "of the query no label is known"


def test_few_cells(real_umap: None) -> None:
    reference, query = pair()
    few = annotated(query[:2].copy(), reference[np.arange(0, 150, 30)].copy(), n_latent=2)
    assert len(points(drawn(few).axes[0])) == 7


def test_many_cells_are_pixels_and_lines_stay_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    import scanpy as sc

    rng = np.random.default_rng(0)
    n, n_known = 9000, 200
    labels = np.array(["B", "T"], dtype=object)[np.arange(n) % 2]
    X = rng.standard_normal((n, 4)).astype(np.float32)
    X[:, 0] += 8 * (labels == "T")
    adata = ad.AnnData(X, obsm={"X_rep": X}, obs=pd.DataFrame({"cell_type": labels}, index=np.arange(n).astype(str)))
    adata.obs.loc[adata.obs_names[n_known:], "cell_type"] = "unknown"
    sl.tl.graph_da_annotate(adata, "cell_type", use_rep="X_rep")
    monkeypatch.undo()
    # The layout takes half a minute and is not what is tested.
    monkeypatch.setattr(sc.tl, "umap", lambda cells, key_added, **_: cells.obsm.__setitem__(key_added, cells.X[:, :2]))
    figure = drawn(adata)
    assert len(points(figure.axes[0])) == n, "more than scanpy compares pairwise"
    assert all(c.get_rasterized() for c in figure.axes[0].collections)


def test_reads_on_dark(query: AnnData) -> None:
    light = drawn(query)
    with plt.style.context("dark_background"):
        dark = drawn(query)
        assert all(text.get_color() == "white" for legend in dark.legends for text in legend.get_texts())
    faint = [to_hex(f.axes[1].collections[0].get_facecolors()[0]) for f in (light, dark)]
    assert faint[0] > "#cccccc"
    assert faint[1] < "#444444", "what a panel is not about is near its background"
    assert colors(panels(light)["predicted labels"]) == colors(panels(dark)["predicted labels"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": "absent"}, KeyError, r"Run sl\.tl\.annotate first"),
        ({"truth": "absent"}, KeyError, r"Did not find \.obs\['absent'\]"),
        ({"panels": "predicted"}, ValueError, r"Found panels='predicted'; expected some of .*mean 'predicted labels'"),
        ({"panels": ["domain", "x"]}, ValueError, r"Found panels=\['domain', 'x'\]; expected some of \['domain', "),
        ({"panels": []}, ValueError, r"Found panels=\[\]; expected some of"),
        ({"panels": "true labels"}, ValueError, r"nothing to show in the panel 'true labels'\. Pass truth="),
        ({"palette": ["red"]}, ValueError, r"with 1 colors for 4 names"),
        ({"palette": {"Bb": "red"}}, ValueError, r"Found palette= with colors of 'Bb'"),
        ({"save": "nothing/a.png"}, FileNotFoundError, r"found no folder 'nothing'"),
        ({"save": "a.docx"}, ValueError, r"Found save='a\.docx'; expected a name that ends in a format"),
        ({"title": ["a", "b"]}, ValueError, r"Found 2 titles in title= for 5 panels"),
        ({"ax": "a"}, TypeError, r"Found ax='a' \(str\); expected axes of matplotlib"),
        ({"axes": 5}, TypeError, r"Found axes=5 \(int\); expected a list of axes"),
    ],
)
def test_wrong_values_are_said_before_any_work(
    query: AnnData, computed: list[int], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    before = snapshot(query)
    with pytest.raises(error, match=message):
        sl.pl.transfer_umap(query, **options)
    assert computed == []
    assert_same(snapshot(query), before)
    assert plt.get_fignums() == []


def test_wrong_axes_are_said_before_any_work(query: AnnData, computed: list[int]) -> None:
    axes = plt.subplots(1, 2)[1]
    for options, message in (
        ({"ax": axes[0]}, r"Found 1 axes in ax= for 5 panels: domain, reference labels"),
        ({"axes": axes}, r"Found 2 axes in axes= for 5 panels"),
        ({"ax": axes[0], "axes": axes}, r"Found ax= and axes=; expected one of them"),
        ({"axes": axes, "panels": ALL[:2], "title": "over"}, r"Found title='over' for 2 panels in given axes"),
    ):
        with pytest.raises(ValueError, match=message):
            sl.pl.transfer_umap(query, **options)
    assert computed == []
    assert not any(ax.collections for ax in axes)
