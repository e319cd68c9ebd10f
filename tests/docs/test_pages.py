"""What the pages say is what the sources and the results say."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.docs._pages import ROOT, blocks, pages

import scllmda as sl

DOCS, BENCHMARKS = ROOT / "docs", ROOT / "benchmarks"
HOLE = "…"


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[None]:
    """Scripts of the benchmarks, and extensions of the documentation, can be imported."""
    folders = [str(BENCHMARKS), str(DOCS / "extensions")]
    sys.path[:0] = folders
    yield
    for folder in folders:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_csv(BENCHMARKS / "annotation.csv").dropna(subset="accuracy")


def texts() -> Iterator[str]:
    """Yield every text of the sources, with a hole for each value that is put in."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else HOLE for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_are_those_of_the_sources() -> None:
    quoted = [block.code.strip() for block in blocks(DOCS / "troubleshooting.md", "text")]
    known = list(texts())
    assert len(quoted) > 30
    assert [message for message in quoted if not any(message.rstrip(f"{HOLE} ") in text for text in known)] == []


def test_parameters_of_annotate_are_each_in_one_group() -> None:
    rows = re.findall(r"^\| (?:basic|peaks|decision|compute) \| (.*) \|$", (DOCS / "api.md").read_text(), re.MULTILINE)
    listed = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(listed) == sorted(inspect.signature(sl.tl.annotate).parameters)


def test_headline_is_that_of_the_results(results: pd.DataFrame) -> None:
    scores = results.pivot_table(index="task", columns="method", values="macro_f1").round(3)
    others = scores.drop(columns="robust")
    compared = scores["robust"].notna() & others.notna().any(axis=1)
    won = (scores["robust"] >= others.max(axis=1))[compared]
    pbmc = results[results["task"] == "granja D5T1 → pbmc"].groupby("method")["accuracy"].mean()
    said = (DOCS / "benchmarks" / "headline.md").read_text()
    first, second = sorted(pbmc, reverse=True)[:2]
    assert said.startswith(f"In **{won.sum()} of {len(won)}** transfers")
    assert f"({len(others.columns)} others" in said
    assert f"**{first:.0%}**" in said
    assert f"{pbmc.sort_values().index[-2]}, {second:.0%}" in said
    assert pbmc.idxmax() == "robust"


@pytest.mark.usefixtures("benchmarks")
def test_score_is_the_mean_over_seeds(results: pd.DataFrame) -> None:
    from benchmark_scores import score

    rows = results[(results["method"] == "robust") & (results["task"] == "granja-coarse D6T1→D5T1")]
    assert len(rows) > 1
    assert float(score("robust; granja-coarse D6T1→D5T1; ece")) == round(rows["ece"].mean(), 3)
    with pytest.raises(ValueError, match="has no ece of 'nobody'"):
        score("nobody; granja-coarse D6T1→D5T1; ece")


@pytest.mark.usefixtures("benchmarks")
def test_benchmark_pages_are_what_the_results_make(tmp_path: Path) -> None:
    import annotation

    annotation.report(tmp_path, draw=False)
    made = {page.name: page.read_text() for page in (tmp_path / "benchmarks").iterdir()}
    assert made == {page.name: page.read_text() for page in (DOCS / "benchmarks").iterdir()}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_narrow_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    assert all(line.count(" | ") < 8 for line in text.splitlines() if line.startswith("| "))
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        # The build puts the tutorials below docs/.
        folder = ROOT if target.startswith("tutorials/") else page.parent
        assert (folder / target).exists(), target


def test_pages_link_to_pages_that_are_in_a_table_of_contents() -> None:
    listed: set[Path] = set()
    for page in pages():
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), flags=re.DOTALL):
            listed |= {(page.parent / line).resolve() for line in tree.split() if line.endswith(".md")}
    written = {page for page in pages() if page.is_relative_to(DOCS)}
    assert written - listed == {DOCS / "index.md", DOCS / "benchmarks" / "headline.md"}


@pytest.mark.usefixtures("benchmarks")
def test_registry_tables_have_a_row_for_each_name() -> None:
    from registry_tables import TABLES, markdown

    for make in TABLES.values():
        table: Any = make()
        rows = markdown(table, ["description"])
        assert [row.split("`")[1] for row in rows[2:]] == list(table.index)
        assert all(row.count(" | ") == 1 for row in rows)


def test_marker_tests_are_as_the_results_say() -> None:
    found = pd.read_csv(BENCHMARKS / "marker_peaks.csv")
    rows = []
    for method in found["method"].unique():
        of = found[found["method"] == method].set_index(["experiment", "task", "setting"])
        planted = of.loc[("planted", slice(None), "open in 8% more")][["first", "recall", "false"]].mean()
        row = [f"{planted['first']:.2f}", f"{planted['recall']:.2f}", f"{planted['false']:.1f}"]
        for setting in ("all cells", "alike in depth", "by depth"):
            draws = of.loc[of.index.isin([("shuffled", "D5T1, 2,000 peaks", setting)]), "any"]
            row.append(f"{draws.sum():.0f} of {len(draws)}" if len(draws) else "–")
        rows.append(f"| {method} | {' | '.join(row)} |")
    page = (DOCS / "guide" / "markers.md").read_text().splitlines()
    assert len(rows) == 5
    assert set(rows) <= set(page)
    default = found[(found["experiment"] == "shuffled") & (found["method"] == "strata")]
    assert (len(default), default["any"].sum()) == (120, 0)
