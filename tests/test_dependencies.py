"""What is installed with the package is what its code imports, and the other way round."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "scllmda"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

TYPES_ONLY = {"_typeshed"}
"""Known to type checkers alone."""
READ_IF_THERE = {"hdf5plugin"}
"""Filters of files that others wrote: the message that asks for it says how to install it."""


def distributions(requirements: Sequence[str]) -> set[str]:
    """Return the names of requirements, and of what their extras bring: dask[distributed] is dask and distributed."""
    found: set[str] = set()
    for requirement in map(Requirement, requirements):
        found.add(canonicalize_name(requirement.name))
        for extra in requirement.extras:
            try:
                brought = map(Requirement, requires(requirement.name) or [])
            except PackageNotFoundError:
                continue
            found |= {
                canonicalize_name(r.name)
                for r in brought
                if r.marker is not None and r.marker.evaluate({"extra": extra})
            }
    return found


REQUIRED = distributions(PROJECT["project"]["dependencies"])
OPTIONAL = {
    name for needed in PROJECT["project"]["optional-dependencies"].values() for name in distributions(needed)
} - REQUIRED


INSTALLED = packages_distributions()


def distributions_of(module: str) -> set[str]:
    """Return the installed distributions that have a module; its own name if none has."""
    return set(map(canonicalize_name, INSTALLED.get(module, [module])))


def imported(tree: ast.AST, guarded: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the first part of each module that is imported, wherever, and whether an ImportError is dealt with."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], guarded) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0], guarded
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            if ast.unparse(node.args[0]).startswith(("'.", "f'.")):
                # One of our own.
                continue
            assert isinstance(node.args[0], ast.Constant), "a module that no one can look up"
            yield str(node.args[0].value).partition(".")[0], guarded
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("find_spec"):
            # Whoever asks whether a module is there deals with its absence.
            yield ast.literal_eval(node.args[0]).partition(".")[0], True
        if isinstance(node, ast.Try):
            catches = {
                name.id for h in node.handlers if h.type for name in ast.walk(h.type) if isinstance(name, ast.Name)
            }
            inside = guarded or bool(catches & {"ImportError", "ModuleNotFoundError"})
            for part in node.body:
                yield from imported(ast.Module([part], []), inside)
            rest = [*node.handlers, *node.orelse, *node.finalbody]
            for part in rest:
                yield from imported(ast.Module([part], []), guarded)  # type: ignore[list-item]
        else:
            yield from imported(node, guarded)


def third_party() -> dict[str, list[tuple[str, bool]]]:
    """Return the files that import each module, and whether they deal with its absence."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for module, guarded in imported(ast.parse(file.read_text())):
            if module not in sys.stdlib_module_names | TYPES_ONLY | {"scllmda"}:
                found.setdefault(module, []).append((str(file.relative_to(SOURCE)), guarded))
    return found


IMPORTED = third_party()


@pytest.mark.parametrize("distribution", sorted(REQUIRED))
def test_what_is_required_is_imported(distribution: str) -> None:
    assert any(distribution in distributions_of(module) for module in IMPORTED), "nothing in src imports it"


@pytest.mark.parametrize("extra", PROJECT["project"]["optional-dependencies"])
def test_what_an_extra_brings_is_imported(extra: str) -> None:
    brought = distributions(PROJECT["project"]["optional-dependencies"][extra])
    assert any(brought & distributions_of(module) for module in IMPORTED), "nothing in src imports it"


@pytest.mark.parametrize("module", sorted(IMPORTED))
def test_what_is_imported_is_required_or_guarded(module: str) -> None:
    if distributions_of(module) & REQUIRED:
        return
    unguarded = [file for file, guarded in IMPORTED[module] if not guarded]
    assert distributions_of(module) & OPTIONAL or module in READ_IF_THERE, "neither required nor in an extra"
    assert not unguarded, "without it, users are to be told what to install"


def test_every_requirement_is_there_once() -> None:
    names = [canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]]
    assert names == sorted(set(names))


def test_make_test_lowest_installs_the_lower_bound_of_every_requirement() -> None:
    groups = (
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        PROJECT["dependency-groups"]["test"],
    )
    bounds = {
        f"{requirement.name}=={part.version}"
        for requirement in (Requirement(text) for group in groups for text in group)
        for part in requirement.specifier
        if part.operator == ">="
    }
    script = [sys.executable, ROOT / ".ci" / "lowest.py"]
    assert set(subprocess.check_output(script, text=True).split()) == bounds
    names = {Requirement(text).name for group in groups for text in group}
    assert {bound.partition("==")[0] for bound in bounds} == names
    replaced = subprocess.check_output([*script, "torch==2.13.0"], text=True).split()
    assert set(replaced) ^ bounds == {"torch==2.13.0", next(bound for bound in bounds if bound.startswith("torch=="))}


def test_ci_runs_every_python_that_is_promised() -> None:
    promised = {
        text.rpartition(" ")[2]
        for text in PROJECT["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", text)
    }
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert promised == set(re.findall(r'python: "(3\.\d+)" }', workflow))


def test_mypy_is_told_of_no_module_that_is_not_imported() -> None:
    told = {name.removesuffix(".*") for part in PROJECT["tool"]["mypy"]["overrides"] for name in part["module"]}
    assert told <= set(IMPORTED)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import a.b as c, d", [("a", False), ("d", False)]),
        ("from . import a\nfrom .a import b", []),
        ("def f():\n    from a.b import c", [("a", False)]),
        ("try:\n    import a\nexcept ImportError as e:\n    raise", [("a", True)]),
        ("try:\n    import a\nexcept (OSError, ModuleNotFoundError):\n    import b", [("a", True), ("b", False)]),
        ("try:\n    import a\nexcept ValueError:\n    pass\nelse:\n    import b", [("a", False), ("b", False)]),
        ("def f():\n    try:\n        x = import_module('a.b')\n    except ImportError:\n        pass", [("a", True)]),
        ("if TYPE_CHECKING:\n    import a", [("a", False)]),
        ("def f():\n    if find_spec('a') is None:\n        raise ImportError", [("a", True)]),
    ],
)
def test_imports_are_found(code: str, expected: list[tuple[str, bool]]) -> None:
    assert list(imported(ast.parse(code))) == expected


def test_extras_of_requirements_count() -> None:
    pytest.importorskip("distributed")
    assert {"dask", "distributed"} <= distributions(["dask[distributed]"])
