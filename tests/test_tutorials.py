"""Tutorials are whole, were executed in order from a clean kernel, and call what there is.

`make tutorials` executes them, which takes minutes; here they are read.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

import nbformat
import pytest

import scllmda as sl

FOLDER = Path(__file__).parents[1] / "tutorials"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LARGEST = 300_000
"""Bytes of a notebook with its figures."""

each = pytest.mark.parametrize("name", NAMES)


@cache
def read(name: str) -> Any:
    return nbformat.read(FOLDER / name, as_version=4)


def code_cells(name: str) -> list[Any]:
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def code(name: str) -> Iterator[str]:
    """Yield the code of cells, and that which the text shows."""
    for cell in read(name).cells:
        blocks = re.findall(r"```python\n(.*?)```", cell.source, flags=re.DOTALL)
        yield from [cell.source] if cell.cell_type == "code" else blocks


def calls(text: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield calls of functions of the package by their dotted name behind ``sl``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and re.fullmatch(r"sl(\.\w+)+", name := ast.unparse(node.func)):
            yield name.removeprefix("sl."), node


@each
def test_is_a_notebook_of_moderate_size(name: str) -> None:
    nbformat.validate(read(name))
    assert (FOLDER / name).stat().st_size < LARGEST
    assert read(name).cells[0].source.startswith(f"# {name[0]} · "), "the title has the number of the file"


@each
def test_was_executed_from_a_clean_kernel_without_errors(name: str) -> None:
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run `make tutorials`"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    said = "".join(output.get("text", "") for output in outputs)
    assert not re.findall(r"/(?:tmp|home|root|Users|work)/", said), "paths of a machine are no result"
    assert "Warning" not in said


@each
def test_calls_what_there_is(name: str) -> None:
    found = [call for text in code(name) for call in calls(text)]
    assert found
    for dotted, call in found:
        function = reduce(getattr, dotted.split("."), sl)
        keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
        given = [None for argument in call.args if not isinstance(argument, ast.Starred)]
        inspect.signature(function).bind_partial(*given, **keywords)


def test_calls_are_found() -> None:
    found = dict(calls("a = sl.tl.annotate(query, x=sl.get.methods().head(1))\nother.sl.f()"))
    assert found.keys() == {"tl.annotate", "get.methods"}


def test_the_overview_lists_all() -> None:
    text = (FOLDER / "README.md").read_text()
    assert re.findall(r"^(\S+\.ipynb)$", text, flags=re.MULTILINE) == NAMES
    assert re.findall(r"\]\((\S+\.ipynb)\)", text) == NAMES
    assert len(NAMES) > 1
