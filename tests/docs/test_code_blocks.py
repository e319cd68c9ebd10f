"""Code of the pages runs, page by page, and shell commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot as plt
from tests.docs._pages import PAGES, ROOT, RUN_ELSEWHERE, blocks, namespace, pages

from scllmda.cli._parser import make_parser

BRIEFLY = {"n_epochs": 1, "pretrain_epochs": 1}
"""How long networks train here."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def with_blocks(language: str) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages() if any(blocks(page, language))]


def test_every_page_with_code_says_what_it_finds() -> None:
    assert set(with_blocks("python")) == PAGES.keys() | RUN_ELSEWHERE.keys()
    assert all((ROOT / file).is_file() for file in RUN_ELSEWHERE.values())


@pytest.mark.parametrize("name", PAGES)
def test_python(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if PAGES[name].needs:
        pytest.importorskip(PAGES[name].needs)
    found = list(blocks(ROOT / name, "python"))
    monkeypatch.chdir(tmp_path)
    # The real one compiles for half a minute; tests/pl has it.
    monkeypatch.setattr("scllmda.pl._joint_map._umap", lambda X: X[:, :2].copy())
    matplotlib.use("agg")
    for method in ("annatac", "epifoundation"):
        module = f"scllmda.methods.{method}._recipe"
        presets = import_module(module).PRESETS
        monkeypatch.setattr(f"{module}.PRESETS", {**presets, "small": presets["small"] | BRIEFLY})
    names = namespace(PAGES[name], tmp_path)
    for block in found:
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, name, "exec"), names)
        plt.close("all")


@pytest.mark.parametrize("name", with_blocks("bash"))
def test_bash(name: str) -> None:
    commands = [line for block in blocks(ROOT / name, "bash") for line in joined_lines(block.code)]
    assert commands
    for command in commands:
        for part in command.split(" && "):
            words = shlex.split(part.partition(" > ")[0], comments=True)
            CHECKS[words[0]](words[1:])


def joined_lines(code: str) -> list[str]:
    """Return the commands, those over several lines in one."""
    return [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def of_make(words: list[str]) -> None:
    known = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(known)


def of_pip(words: list[str]) -> None:
    assert words[0] == "install"
    for word in words[1:]:
        if extras := re.search(r"\[(.*)\]", word):
            assert set(extras[1].split(",")) <= set(EXTRAS), word
    files = [words[i + 1] for i, word in enumerate(words) if word == "--constraint"]
    assert all((ROOT / file).is_file() for file in files)


def of_python(words: list[str]) -> None:
    script, *options = words
    assert set(options_in(options)) <= options_of((sys.executable, str(ROOT / script))), script


def of_scllmda(words: list[str]) -> None:
    make_parser([words[0]]).parse_args(words)


def of_hf(words: list[str]) -> None:
    hf = Path(sys.executable).parent / "hf"
    assert set(options_in(words)) <= options_of((str(hf), words[0]))


def options_in(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--")]


@cache
def options_of(command: tuple[str, ...]) -> set[str]:
    """Return the options that a command's help names."""
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, env=QUIET)
    return set(re.findall(r"--[a-z][\w-]*", told.stdout))


QUIET = {"COLUMNS": "200", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
CHECKS: dict[str, Callable[[list[str]], None]] = {
    "make": of_make,
    "pip": of_pip,
    "python": of_python,
    "scllmda": of_scllmda,
    "hf": of_hf,
    ".ci/run": lambda words: None,
    "git": lambda words: None,
    "cd": lambda words: None,
}
"""By the first word of a command; one that is not here is a mistake."""
