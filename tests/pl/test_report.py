"""The report, read back from its page: every number is the object's, every text is text, nothing is loaded."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from matplotlib import pyplot as plt
from mudata import MuData
from tests._objects import added, annotated, pair, snapshot, together, with_X

import scllmda as sl
from scllmda.pl import _html, _joint_map, _report
from scllmda.pl._report_figures import ReportFigures

mpl.use("Agg")

VOID = {"meta", "img"}
DASH = "–"


class Page(HTMLParser):
    """What a page has: texts by the tag around them, tables by their names, images, and addresses of anything else."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.images: list[tuple[str, bytes]] = []
        self.addresses: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables[str(given["id"])] = []
        elif tag == "tr":
            list(self.tables.values())[-1].append([])
        elif tag in {"td", "th"}:
            list(self.tables.values())[-1][-1].append("")
        for name in ("src", "href", "action", "data", "srcset"):
            address = given.get(name) or ""
            if found := re.fullmatch(r"data:image/(png|svg\+xml);base64,(.*)", address, re.DOTALL):
                self.images.append((found[1], base64.b64decode(found[2], validate=True)))
            elif name in given:
                self.addresses.append(address)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))
            if self.open[-1] in {"td", "th"}:
                list(self.tables.values())[-1][-1][-1] += data

    def rows(self, name: str) -> dict[str, list[str]]:
        """Return the rows of a table by their first cell, without the head."""
        return {row[0]: row[1:] for row in self.tables[name][1:]}

    def of(self, tag: str) -> list[str]:
        return [text for found, text in self.texts if found == tag]

    @property
    def cards(self) -> dict[str, str]:
        return dict(zip(self.of("dt"), self.of("dd"), strict=True))


class NoFigures:
    """Stands for figures that take seconds to draw."""

    def __init__(self, *_: Any) -> None:
        self.proportions = self.novelty = self.against_truth = self.training = self.boxes = lambda *_, **__: []

    def maps(self) -> tuple[list[Any], dict[str, str]]:
        return [], {}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report, "ReportFigures", NoFigures)


@pytest.fixture
def quick_map(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_joint_map, "_umap", lambda X: X[:, :2].copy())
    yield
    assert plt.get_fignums() == [], "no figure stays open"


@pytest.fixture(scope="module")
def reference() -> AnnData:
    return pair()[0]


@pytest.fixture(scope="module")
def _query(reference: AnnData) -> AnnData:
    query = pair()[1]
    X = query.X.tolil()
    X[:2] = 0
    found = sl.tl.annotate(with_X(query, X.tocsr()), reference, n_latent=16, copy=True, max_false_rejection=0.2)
    assert (found.obs["scllmda"].iloc[2:] == "Unassigned").any()
    truth = found.obs["cell_type"].astype(object)
    truth.iloc[5:9] = None
    found.obs["truth"] = pd.Categorical(truth)
    return found


@pytest.fixture
def query(_query: AnnData) -> AnnData:
    return _query.copy()


def report(adata: Any, tmp_path: Path, **options: Any) -> Page:
    path = tmp_path / "report.html"
    assert sl.pl.report(adata, path, **options) == path
    assert [file.name for file in tmp_path.glob("*.html")] == ["report.html"]
    return Page(path)


def test_types(query: AnnData, reference: AnnData, tmp_path: Path, quick: None) -> None:
    page, obs = report(query, tmp_path), query.obs
    assert page.tables["types-table"][0] == [
        *("label", "cells", "share", "in the reference", "median open peaks", "likeliest for", "rejected of these"),
        *("median score", "median novelty"),
    ]
    found = page.rows("types-table")
    assert list(found) == [*query.uns["scllmda"]["classes"], "Unassigned"]
    depth, rejected = np.asarray((query.X > 0).sum(axis=1)).ravel(), obs["scllmda"] == "Unassigned"
    for label, row in found.items():
        of, raw = obs["scllmda"] == label, obs["scllmda_raw"] == label
        known = int((reference.obs["cell_type"] == label).sum())
        assert row == [
            *(f"{of.sum()}", f"{of.mean():.1%}", f"{known}", f"{np.median(depth[of]):,.0f}" if of.any() else DASH),
            *(f"{raw.sum()}", f"{rejected[raw].mean():.1%}" if raw.any() else DASH),
            *(f"{obs.loc[raw, f'scllmda_{c}'].median():.2f}" if raw.any() else DASH for c in ("score", "novelty")),
        ]
    assert page.cards == {
        "cells labeled": f"{(~rejected).sum()}",
        "types": f"{obs.loc[~rejected, 'scllmda'].nunique()}",
        "unassigned": f"{rejected.mean():.1%}",
        "median score": f"{obs['scllmda_score'].median():.2f}",
        "median novelty": f"{obs['scllmda_novelty'].median():.2f}",
        "query's peaks shared": "80.0%",
    }
    assert page.of("h1") == ["Annotation of 100 cells"]


def test_what_was_rejected_and_why(query: AnnData, tmp_path: Path, quick: None) -> None:
    page, obs, uns = report(query, tmp_path), query.obs, query.uns["scllmda"]
    threshold, shift = uns["history"]["novelty_threshold"], uns["history"]["novelty_shift"]
    rejected, closed = obs["scllmda"] == "Unassigned", np.arange(100) < 2

    def row(of: Any) -> list[str]:
        medians = (f"{obs.loc[of, f'scllmda_{c}'].median():.2f}" for c in ("score", "novelty"))
        return [f"{of.sum()}", f"{of.mean():.1%}", *medians]

    assert page.rows("rejected-table") == {
        "labeled": row(~rejected),
        "unassigned: no open peak that tells cells apart": row(closed),
        "unassigned: more novel than the threshold": row(rejected & ~closed),
    }
    assert any(f"if its novelty was above {threshold:.3g}, as that of at most 20% of" in text for text in page.of("p"))
    assert any(f"lie {shift:.2f} times as far" in text for text in page.of("p"))
    # A vote of clusters labels novel cells, and rejects others.
    label = obs["scllmda"].astype(str)
    novel, other = np.flatnonzero(rejected & ~closed)[0], np.flatnonzero(~rejected)[0]
    label.iloc[novel], label.iloc[other] = "B", "Unassigned"
    query.obs["scllmda"] = pd.Categorical(label)
    found = report(query, tmp_path).rows("rejected-table")
    assert found["labeled by the vote of their cluster, although too novel"][0] == "1"
    assert found["unassigned: by the vote of their cluster, or like reference cells of that name"][0] == "1"
    assert sum(int(cells) for cells, *_ in found.values()) == 100


def test_peaks_parameters_and_versions(query: AnnData, tmp_path: Path, quick: None) -> None:
    page, uns = report(query, tmp_path), query.uns["scllmda"]
    coverage = page.rows("peaks-table")
    assert len(coverage) == len(uns["coverage"])
    assert coverage["peaks of the query that the reference has too"] == [f"{uns['coverage']['n_matched_query']:,}"]
    assert coverage["peaks that cells were compared by"] == [f"{uns['coverage']['n_used']:,}"]
    assert any("640 of the query's 800 peaks are 640 of the reference's 800." in text for text in page.of("p"))
    found = page.rows("parameters-table")
    assert found["method"] == ["robust"]
    assert found["n_latent"] == [str(uns["params"]["n_latent"])]
    assert found["recipe.widths"] == [", ".join(map(str, uns["params"]["recipe"]["widths"]))]
    assert found["novelty_recipe.restart"] == [str(uns["params"]["novelty_recipe"]["restart"])]
    history = page.rows("history-table")
    assert history["temperature"] == [f"{uns['history']['temperature']:.4g}"]
    assert history["novelty_threshold"] == [f"{uns['history']['novelty_threshold']:.4g}"]
    assert page.rows("versions-table")["scllmda"] == [sl.__version__]


@pytest.mark.parametrize(
    ("whose", "method", "used", "unused"),
    [
        ([], "robust", "No DNA was used: there were no sequences.", None),
        (["reference", "query"], "robust", "The DNA under the peaks of both was used, from .varm['X_kmer'].", None),
        (["query"], "robust", "The DNA under the query's peaks was used, from .varm['X_kmer'].", None),
        (["reference", "query"], "lsi_lr", None, "those of the reference and query, because the method reads none."),
    ],
)
def test_dna_that_was_used_and_that_was_not(
    whose: list[str], method: str, used: str | None, unused: str | None, tmp_path: Path, quick: None
) -> None:
    reference, query = pair()
    rng = np.random.default_rng(0)
    of_peak = {name: rng.normal(size=4) for name in sorted({*reference.var_names, *query.var_names})}
    for name, adata in (("reference", reference), ("query", query)):
        adata.var = adata.var.drop(columns="sequence", errors="ignore")
        if name in whose:
            adata.varm["X_kmer"] = np.array([of_peak[peak] for peak in adata.var_names])
    sl.tl.annotate(query, reference, n_latent=16, method=method)
    page = report(query, tmp_path)
    said = [text for text in page.of("p") if "DNA" in text or "Sequences" in text]
    assert said == [*([used] if used else []), *([f"Sequences that were not used: {unused}"] if unused else [])]
    assert ("whose sequence was not used, and why" in page.rows("peaks-table")) == (unused is not None)


def test_cautions_are_the_package_s_own(reference: AnnData, tmp_path: Path, quick: None, warnings: list[str]) -> None:
    query = pair()[1]
    query.var = query.var[[]]
    query.var_names = [
        name if i % 10 == 0 else f"chr99{name[name.index(':') :]}" for i, name in enumerate(query.var_names)
    ]
    sl.tl.annotate(query, reference, n_latent=8)
    said = list(warnings)
    assert [text.partition(" with the")[0] for text in said] == ["The query shares 58 of its 800 peaks"]
    page = report(query, tmp_path)
    assert set(said) <= set(page.of("p"))
    n = len(query.uns["scllmda"]["reference"]["contradicted"])
    assert any(f"{n} reference cells have a label that" in text for text in page.of("p")) == (n > 0)


def test_against_truth(query: AnnData, tmp_path: Path, quick: None) -> None:
    page = report(query, tmp_path, truth="truth")
    obs = query.obs
    scores = sl.metrics.annotation_report(obs["truth"], obs["scllmda"], query.obsm["scllmda_proba"])
    expected = {name: [f"{value:.3f}"] for name, value in scores.items() if name != "n_cells"}
    assert page.rows("truth-table") == {"n_cells": ["96"], **expected}
    counts = pd.crosstab(obs["truth"], obs["scllmda"].astype(str))
    assert page.tables["confusion-table"][0][1:] == list(counts.columns)
    assert page.rows("confusion-table") == {name: [str(n) for n in row] for name, row in counts.T.items()}


def test_known_labels_of_closed_cells_alone(query: AnnData, tmp_path: Path, quick_map: None) -> None:
    query.obs["few"] = [*query.obs["cell_type"].iloc[:2], *[None] * 98]
    assert report(query, tmp_path, truth="few").rows("truth-table")["unassigned"] == ["1.000"]


def test_nothing_is_loaded_and_all_text_is_text(tmp_path: Path, quick_map: None) -> None:
    reference, query = pair()
    renamed = {name: f"<b onclick='x'>{name}</b> & $x$" for name in reference.obs["cell_type"].cat.categories}
    reference.obs["<u>"] = reference.obs["cell_type"].cat.rename_categories(renamed)
    query.obs["<s>"] = query.obs["cell_type"].cat.rename_categories(renamed)
    query = annotated(query, reference, labels_key="<u>", key_added='<i>"')
    page = report(query, tmp_path, key='<i>"', truth="<s>", reference=reference)
    assert not page.tags & {"b", "i", "u", "s", "script", "link", "iframe", "object"}
    assert list(page.rows("types-table")) == list(query.uns['<i>"']["classes"])
    assert any("<u>" in text for text in page.of("p"))
    assert set(page.addresses) <= {f"#{name}" for name in re.findall(r'<section id="(\w+)"', page.text)}
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"url\(|@import|https?:", style)
    assert "default-src 'none'" in page.text
    for kind, content in page.images:
        assert content.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    assert len(page.images) == 13, "six maps, shares, score, novelty, depth, and three against truth"
    assert len(page.images) == len(re.findall(r'<img [^>]*alt="[^"]+"', page.text))


def test_lines_where_they_are_few() -> None:
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    assert _html._image(figure)[0] == "svg+xml"
    ax.scatter(*np.random.default_rng(0).random((2, 3000)), c=np.arange(3000))
    kind, content = _html._image(figure)
    assert (kind, content[:4]) == ("png", b"\x89PNG")
    plt.close(figure)


def test_same_bytes_but_the_date_and_nothing_but_the_map_is_written(
    query: AnnData, reference: AnnData, tmp_path: Path, quick_map: None
) -> None:
    before = snapshot(query), snapshot(reference)
    first = report(query, tmp_path, reference=reference).text
    query.write_h5ad(tmp_path / "a.h5ad")
    assert query.uns["scllmda"].pop("umap")["coordinates"].shape == (250, 2)
    assert (added(before[0], snapshot(query)), added(before[1], snapshot(reference))) == (set(), set())
    with plt.rc_context():
        sc.set_figure_params(fontsize=8, facecolor="black")
        plt.style.use("dark_background")
        again = report(ad.read_h5ad(tmp_path / "a.h5ad", backed="r"), tmp_path, reference=reference).text
        assert mpl.rcParams["axes.facecolor"] == "black", "the user's style is as it was"
    lines = [text.splitlines() for text in (first, again)]
    differ = [one for one, other in zip(*lines, strict=True) if one != other]
    assert all('<p class="date">' in line for line in differ)


@pytest.mark.parametrize(
    ("method", "recipe"),
    [
        ("lsi_lr", {}),
        ("epifoundation", {"preset": "small", "n_layers": 1, "n_epochs": 2}),
    ],
)
def test_methods(method: str, recipe: dict[str, Any], reference: AnnData, tmp_path: Path, quick: None) -> None:
    query = annotated(pair()[1], reference, method=method, recipe=recipe)
    page, history = report(query, tmp_path), query.uns["scllmda"]["history"]
    assert page.rows("parameters-table")["method"] == [method]
    assert ("Training" in page.of("h2")) == ("loss" in history)
    assert not {"loss", "domain_loss", "held_out_accuracy"} & set(page.rows("history-table")), "drawn, not listed"


def test_one_object_and_a_given_space(tmp_path: Path, quick: None) -> None:
    one = annotated(together())
    page = report(one, tmp_path, truth="truth")
    known = one.obs["cell_type"] != "unknown"
    assert page.of("h1") == ["Annotation of 100 cells"]
    assert [int(row[2]) for row in page.rows("types-table").values()] == [
        int((one.obs.loc[known, "cell_type"] == label).sum()) for label in page.rows("types-table")
    ]
    assert any("one object with 800 peaks" in text for text in page.of("p"))
    assert "No cell was to be rejected as novel (max_false_rejection=None)." in page.of("p")
    assert list(page.rows("rejected-table")) == ["labeled"]
    one.obsm["space"] = one.obsm["X_scllmda_da"].copy()
    one.X = -one.X
    sl.tl.graph_da_annotate(one, "cell_type", use_rep="space", key_added="given")
    page = report(one, tmp_path, key="given")
    assert any("Numbers of open peaks are not known: The counts of the data hold negative" in t for t in page.of("p"))
    assert any("which peaks they share is not noted" in text for text in page.of("p"))
    assert {row[3] for row in page.rows("types-table").values()} == {DASH}


def test_mudata_and_one_type(query: AnnData, reference: AnnData, tmp_path: Path, quick: None) -> None:
    data = MuData({"peaks": query})
    assert report(data, tmp_path, mod="peaks").rows("types-table") == report(query, tmp_path).rows("types-table")
    few = annotated(pair()[1][:3].copy(), reference)
    few.obs["scllmda"] = few.obs["scllmda_raw"] = pd.Categorical(["B"] * 3)
    page = report(few, tmp_path, truth="cell_type")
    assert page.cards["types"] == "1"
    assert page.rows("types-table")["B"][:2] == ["3", "100.0%"]


def test_what_was_there_stays_until_the_page_is_whole(query: AnnData, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.html"
    path.write_text("before")

    def fail(*_: Any) -> str:
        msg = "drawing failed"
        raise RuntimeError(msg)

    monkeypatch.setattr(_report, "_page", fail)
    with pytest.raises(RuntimeError, match="drawing failed"):
        sl.pl.report(query, path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    assert path.read_text() == "before"


@pytest.mark.parametrize(("of_both", "n_panels"), [(True, 5), (False, 3)])
def test_basis(query: AnnData, reference: AnnData, of_both: bool, n_panels: int) -> None:
    """A map that only the query has shows what is the query's."""
    of_reference = reference.copy()
    query.obsm["X_map"] = query.obsm["X_scllmda_da"][:, :2]
    if of_both:
        of_reference.obsm["X_map"] = np.zeros((reference.n_obs, 2))
    before = set(query.uns["scllmda"])
    figures = ReportFigures(query, query, "scllmda", of_reference, of_reference, None, "X_map", "atac")
    assert len(figures.maps()[0]) == n_panels
    assert set(query.uns["scllmda"]) == before, "no UMAP is made"


def test_wrong(query: AnnData, tmp_path: Path) -> None:
    query.obs["nothing"] = None
    with pytest.raises(ValueError, match=r"No query cell has a label in \.obs\['nothing'\]"):
        sl.pl.report(query, tmp_path / "a.html", truth="nothing")
    with pytest.raises(ValueError, match=r"should end in '\.html'"):
        sl.pl.report(query, tmp_path / "a.pdf")
    with pytest.raises(KeyError, match=r"Run sl\.tl\.annotate first"):
        sl.pl.report(query, tmp_path / "a.html", key="absent")
    with pytest.raises(KeyError, match=r"Did not find \.obsm\['nothing'\]"):
        sl.pl.report(query, tmp_path / "a.html", basis="nothing")
    assert list(tmp_path.iterdir()) == []
