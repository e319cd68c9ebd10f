"""The role `score`: a figure of the benchmark, read from its results when the documentation is built.

``{score}`robust; granja D5T1 → pbmc; accuracy` `` is the mean over seeds, so that no sentence
differs from the tables.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

RESULTS = Path(__file__).parents[2] / "benchmarks" / "annotation.csv"


@cache
def results() -> pd.DataFrame:
    return pd.read_csv(RESULTS)


def score(text: str) -> str:
    """Return the mean of a score, given "method; task; column"."""
    method, task, column = (part.strip() for part in text.split(";"))
    rows = results().query("method == @method and task == @task")[column].dropna()
    if rows.empty:
        msg = f"{RESULTS.name} has no {column} of {method!r} on {task!r}."
        raise ValueError(msg)
    return f"{rows.mean():.3f}".removeprefix("0")


def role(name: str, raw: str, text: str, line: int, inliner: Any, *_: Any) -> tuple[list[nodes.Node], list[Any]]:
    """Show a score, or fail with the place where it is asked for."""
    try:
        return [nodes.Text(score(text))], []
    except (KeyError, ValueError) as error:
        return [], [inliner.reporter.error(str(error), line=line)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the role."""
    app.add_role("score", role)
    return {"parallel_read_safe": True}
