"""What holds for the whole package: signatures, docstrings, the documentation's list, imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import scllmda

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "scllmda"

PUBLIC = {"datasets", "get", "io", "metrics", "pl", "pp", "tl"}
PRIVATE = {
    "_anndata",
    "_cautions",
    "_checks",
    "_counts",
    "_files",
    "_genome_notes",
    "_keys",
    "_label_text",
    "_logging",
    "_peak_pairs",
    "_scanpy",
}
ARRAYS = {"calibration", "factorisation", "genomics", "graphs", "markers", "nn"}
BELOW = {"checkpoints", "encoders", "methods"} | ARRAYS | PRIVATE
# Imports only point down. What takes AnnData may use everything below it; the rest takes arrays.
MAY_IMPORT = {
    "__init__": PUBLIC | {"encoders"},
    "cli": {"scllmda"} | PUBLIC | BELOW,
    "tl": {"get", "metrics", "pp"} | BELOW,
    "pl": {"get", "metrics"} | BELOW,
    "pp": BELOW,
    "get": BELOW,
    "io": BELOW,
    "datasets": BELOW,
    "metrics": BELOW - {"_counts", "_genome_notes", "_peak_pairs"},
    "methods": {"_checks", "_keys", "_logging", "checkpoints"} | ARRAYS,
    "encoders": {"_keys", "_logging", "checkpoints", "factorisation", "genomics", "nn"},
    "checkpoints": {"_files", "_logging"},
    **{room: {"_keys", "_logging"} for room in ARRAYS},
    "_anndata": {"_files", "_keys", "_logging"},
    "_files": {"_logging"},
    "_cautions": set(),
    "_checks": set(),
    "_counts": {"_logging"},
    "_genome_notes": {"_logging", "genomics"},
    "_peak_pairs": {"_anndata", "_genome_notes", "_logging", "genomics"},
    "_keys": set(),
    "_label_text": set(),
    "_logging": set(),
    "_scanpy": set(),
}
KNOWS_ANNDATA = {
    "_anndata",
    "_counts",
    "_files",
    "_genome_notes",
    "_peak_pairs",
    "cli",
    "datasets",
    "get",
    "io",
    "metrics",
    "pl",
    "pp",
    "tl",
}


TAKES_NOTHING_ELSE = {"methods/_representations.py"}
"""Files that hand arrays to a library which takes an AnnData alone: muon's TF-IDF."""


def public_functions() -> list[Any]:
    found = []
    for package in sorted(PUBLIC):
        module = importlib.import_module(f"scllmda.{package}")
        for name in module.__all__:
            if inspect.isfunction(function := getattr(module, name)):
                found.append(pytest.param(function, f"{package}.{name}", id=f"{package}.{name}"))
    return found


each_function = pytest.mark.parametrize(("function", "path"), public_functions())


def documented(function: Callable[..., Any], section: str) -> str:
    """Return the text of one section of a numpy docstring."""
    text = inspect.getdoc(function) or ""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(section, "")


def members(annotation: str) -> set[str]:
    return {part.strip() for part in annotation.split("|")}


@each_function
def test_docstring(function: Callable[..., Any], path: str) -> None:
    summary = (inspect.getdoc(function) or "").split("\n\n")[0]
    assert re.fullmatch(r"[A-Z].*\.", summary), "the docstring starts with a sentence on one line"
    heads = re.findall(r"^\S.*$", documented(function, "Parameters"), flags=re.MULTILINE)
    names = [name.strip().lstrip("*") for head in heads for name in head.partition(" : ")[0].split(",")]
    assert names == list(inspect.signature(function).parameters), "Parameters and the signature name the same, in order"
    assert documented(function, "Returns"), "the docstring says what is returned and which slots are written"


@each_function
def test_signature(function: Callable[..., Any], path: str) -> None:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert len(positional) <= 3
    assert all(p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD} for p in parameters)
    for p in parameters:
        assert p.annotation is not p.empty, f"{p.name} has no type"
        if isinstance(p.default, bool) or "bool" in members(p.annotation):
            assert p.kind is p.KEYWORD_ONLY, f"{p.name} is a boolean"
    if any(members(p.annotation) & {"AnnData", "MuData"} for p in parameters):
        assert parameters[0].name in {"adata", "data", "fragments", "observed", "query", "reference"}
    if "adata" in inspect.signature(function).parameters:
        assert parameters[0].name == "adata"


@each_function
def test_copy(function: Callable[..., Any], path: str) -> None:
    signature = inspect.signature(function)
    returned = members(signature.return_annotation)
    copy = signature.parameters.get("copy")
    # What writes a folder changes no object.
    of_disk = "output" in signature.parameters
    if path.split(".")[0] not in {"pp", "tl"} or returned == {"AnnData"} or of_disk:
        assert copy is None, "nothing is changed in place"
        return
    assert copy is not None, "what changes an object in place can do it on a copy"
    assert (copy.kind, copy.default) == (copy.KEYWORD_ONLY, False)
    assert {"AnnData", "None"} <= returned <= {"AnnData", "MuData", "None"}


def test_documentation_lists_every_public_function() -> None:
    listed = set(re.findall(r"^    (\w+\.\w+)$", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE))
    exported = {
        f"{package}.{name}"
        for package in PUBLIC | {"encoders"}
        for name in importlib.import_module(f"scllmda.{package}").__all__
    }
    assert listed == exported


def test_public_packages() -> None:
    assert set(scllmda.__all__) == PUBLIC | {"encoders"}
    assert scllmda.__version__ == version("scllmda")
    assert (SOURCE / "py.typed").is_file()


def packages() -> list[str]:
    return sorted(str(path.parent.relative_to(SOURCE)) for path in SOURCE.rglob("*/__init__.py"))


def room_of(file: Path) -> str:
    """Return the folder, or the file, of the package's first level."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_every_package_has_a_place_in_the_house() -> None:
    assert {room_of(path) for path in SOURCE.rglob("*.py")} <= set(MAY_IMPORT)
    folders = {str(path.parent.relative_to(SOURCE)) for path in SOURCE.rglob("*/*.py")}
    assert folders - {"."} == set(packages()), "every package has an __init__"


@pytest.mark.parametrize("package", packages())
def test_package_says_what_lives_there(package: str) -> None:
    assert ast.get_docstring(ast.parse((SOURCE / package / "__init__.py").read_text()))


SYSTEMS = {path.split("/")[1] for path in packages() if path.startswith("methods/")}


def test_only_the_registry_imports_a_system() -> None:
    assert {"annatac", "epifoundation", "scllmda", "seqalignatac"} <= SYSTEMS
    for file in SOURCE.rglob("*.py"):
        named = {name[2] for name in imports(file) if name[:2] == ("scllmda", "methods") and len(name) > 2} & SYSTEMS
        inside = file.relative_to(SOURCE).parts[1:2]
        assert named <= set(inside) or file.name == "_registry.py", f"{file} imports {named}"


LONGEST, LONGEST_ANNOTATE = 80, 60


def test_functions_are_short() -> None:
    """Lines of code, without signature and docstring."""
    lines = {}
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines[f"{file.stem}.{node.name}"] = body[-1].end_lineno - body[0].lineno + 1 if body else 0
    assert lines["_annotate.annotate"] < LONGEST_ANNOTATE
    assert {name: n for name, n in lines.items() if n > LONGEST} == {}


@pytest.mark.parametrize(
    "heavy", ["mudata", "muon", "pyfaidx", "scanpy", "snapatac2", "torch", "torch_geometric", "transformers"]
)
def test_import_loads_nothing_heavy(heavy: str, loaded_by_import: set[str]) -> None:
    assert heavy not in loaded_by_import


@pytest.fixture(scope="module")
def loaded_by_import() -> set[str]:
    code = "import sys, scllmda; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def imports(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names a file imports, wherever in the file, made absolute."""
    package = ("scllmda", *file.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, *module, alias.name) for alias in node.names)


def modules() -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(SOURCE))) for path in sorted(SOURCE.rglob("*.py"))]


@pytest.mark.parametrize("file", modules())
def test_imports_point_down(file: Path) -> None:
    room, used = room_of(file), set(imports(file))
    rooms = {name[1] if len(name) > 1 else "scllmda" for name in used if name[0] == "scllmda"}
    assert rooms - {room, "__version__"} <= MAY_IMPORT[room]
    private = {name for name in used if name[0] == "scllmda" and len(name) > 3 and name[1] != room}
    assert not {name for name in private if name[2].startswith("_")}, "another room's files are its own"
    if room not in KNOWS_ANNDATA and str(file.relative_to(SOURCE)) not in TAKES_NOTHING_ELSE:
        assert not {name[0] for name in used} & {"anndata", "mudata"}, f"{room} takes arrays"


def test_no_circle_among_the_rooms() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()
