"""Options are the parameters of the functions: the same names, defaults and effect."""

from __future__ import annotations

import functools
import inspect
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import scllmda as sl
from scllmda.cli import _annotate, main
from scllmda.cli._options import constants, documented
from scllmda.cli._parser import COMMANDS, make_parser

FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, str], list[str]]] = {
    "annotate": (sl.tl.annotate, {"adata": "--query", "reference": "--reference"}, ["--query=q.h5ad"]),
    "fit": (sl.tl.cell_embeddings, {"adata": "--reference"}, ["--reference=r.h5ad", "--output=o.h5ad"]),
    "map": (
        sl.tl.map_cells,
        {"query": "--query", "reference": "--reference"},
        ["--query=q.h5ad", "--reference=r.h5ad", "--output=o.h5ad"],
    ),
    "embed": (sl.tl.embed_peaks, {"adata": "--input"}, ["--input=i.h5ad", "--output=o.h5ad"]),
    "count": (
        sl.pp.count_fragments,
        {"fragments": "--fragments", "peaks": "--peaks"},
        ["--fragments=f.tsv.gz", "--peaks=r.h5ad", "--output=o.h5ad"],
    ),
    "evaluate": (
        sl.metrics.annotation_report,
        {"truth": "--truth", "predicted": "--key", "proba": "--key", "sets": "--key"},
        ["--input=i.h5ad", "--truth=cell_type"],
    ),
    "report": (
        sl.pl.report,
        {"adata": "--input", "path": "--output", "reference": "--reference"},
        ["--input=i.h5ad", "--output=o.html"],
    ),
}
"""By command: the function, the options that stand for its objects, and the options that are required."""
OF_FRAGMENTS = {"barcodes", "min_fragments", "counting"}


def options_of(command: str) -> dict[str, Any]:
    """Return the actions of a command's parser by option."""
    parser = make_parser([command])
    chosen: ArgumentParser = next(a.choices[command] for a in parser._actions if isinstance(a.choices, dict))
    return dict(chosen._option_string_actions)


@pytest.mark.parametrize("command", FUNCTIONS)
def test_every_parameter_is_an_option_with_the_same_default(command: str) -> None:
    function, objects, required = FUNCTIONS[command]
    given = vars(make_parser([command]).parse_args([command, *required]))
    actions = options_of(command)
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "copy":
            continue
        if name in objects:
            assert objects[name] in actions
            continue
        action = actions[f"--{name.replace('_', '-')}"]
        assert given[action.dest] == parameter.default, name
        assert action.help, f"{name} is not explained"


@pytest.mark.parametrize("command", ["annotate", "map"])
def test_queries_of_fragments_have_the_options_of_counting(command: str) -> None:
    parameters = set(inspect.signature(sl.pp.count_fragments).parameters)
    assert parameters - {"fragments", "peaks", "mod"} == OF_FRAGMENTS
    given = vars(make_parser([command]).parse_args([command, *FUNCTIONS[command][2]]))
    for name in OF_FRAGMENTS:
        assert f"--{name.replace('_', '-')}" in options_of(command)
        assert given[name] == inspect.signature(sl.pp.count_fragments).parameters[name].default


ALL = {
    "--labels-key lineage cell_type": {"labels_key": ["lineage", "cell_type"]},
    "--method lsi_lr": {"method": "lsi_lr"},
    "--recipe n_components=8 C=0.5": {"recipe": {"n_components": 8, "C": 0.5}},
    "--encoder cnn": {"encoder": "cnn"},
    "--genome GENOME": {"genome": Path("GENOME")},
    "--unlabeled none ?": {"unlabeled": ["none", "?"]},
    "--batch-key donor": {"batch_key": "donor"},
    "--layer counts": {"layer": "counts"},
    "--reference-layer X": {"reference_layer": "X"},
    "--n-latent 32": {"n_latent": 32},
    "--n-neighbors 10": {"n_neighbors": 10},
    "--max-false-rejection none": {"max_false_rejection": None},
    '--novelty-recipe {"n_dims":16}': {"novelty_recipe": {"n_dims": 16}},
    "--min-probability 0.7": {"min_probability": 0.7},
    "--set-coverage 0.9": {"set_coverage": 0.9},
    "--majority-voting leiden": {"majority_voting": "leiden"},
    "--ontology-key of_lineage id": {"ontology_key": ["of_lineage", "id"]},
    "--min-overlap 0.25": {"min_overlap": 0.25},
    "--chain CHAIN": {"chain": Path("CHAIN")},
    "--frozen": {"frozen": True},
    "--client tcp://a:1": {"client": "client of tcp://a:1"},
    "--key-added mine": {"key_added": "mine"},
    "--seed 3": {"rng": 3},
    "--device cpu": {"device": "cpu"},
    "--mod peaks": {"mod": "peaks"},
}


def test_annotate_passes_every_option_on(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GENOME", "CHAIN"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    called: dict[str, Any] = {}

    @functools.wraps(sl.tl.annotate)
    def annotate(query: Any, reference: Any, **given: Any) -> None:
        called.update(given)
        message = "far enough"
        raise ValueError(message)

    monkeypatch.setattr(sl.tl, "annotate", annotate)
    monkeypatch.setattr(sl.io, "read", lambda path, mod: mod)
    monkeypatch.setattr(_annotate, "_require_columns", lambda *_: None)
    monkeypatch.setattr(_annotate, "connected", lambda address: nullcontext(f"client of {address}"))
    paths = [f"--query={files / 'query.h5ad'}", f"--reference={files / 'reference.h5ad'}", "--table=labels.tsv"]
    assert main(["annotate", *paths, *" ".join(ALL).split()]) == 1
    assert "far enough" in capsys.readouterr().err
    expected = {name: value for part in ALL.values() for name, value in part.items()}
    assert called == expected
    assert set(expected) == set(inspect.signature(sl.tl.annotate).parameters) - {"adata", "reference", "copy"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C=1", {"C": 1}),
        ("preset=small", {"preset": "small"}),
        ("widths=[1, 2]", {"widths": [1, 2]}),
        ("weights=a=b", {"weights": "a=b"}),
        ('{"C": 1, "n_folds": 4}', {"C": 1, "n_folds": 4}),
        ('{"weights": "a=b"}', {"weights": "a=b"}),
    ],
)
def test_constants_of_recipes(text: str, expected: dict[str, Any]) -> None:
    assert constants(text) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["annotate", "--query=q.h5ad", "--output=o.h5ad", "--recipe", "C"], "expected KEY=VALUE or a JSON object"),
        (["annotate", "--query=q.h5ad", "--output=o.h5ad", "--recipe", "[1]"], "expected KEY=VALUE or a JSON object"),
        (["annotate", "--query=q.h5ad", "--output=o.h5ad", "--n-latent=x"], "invalid int value: 'x'"),
        (["annotate", "--query=q.h5ad", "--output=o.h5ad", "--max-false-rejection=x"], "invalid number value"),
        (["annotate", "--query=q.h5ad"], "--output or --table is required"),
        (["annotate", "--query=q.tsv.gz", "--output=o.h5ad"], "--reference is required"),
        (["annotate", "--query=q.h5ad", "--output=o.h5ad", "--barcodes=b"], "--barcodes: of fragments alone"),
        (["annotate", "--output=o.h5ad"], "required: --query"),
        (["count", "--fragments=f.tsv", "--peaks=p", "--output=o.h5ad", "--counting=x"], "invalid choice: 'x'"),
        (["annotte"], "invalid choice: 'annotte'"),
        (["annotate", "--quer=q.h5ad"], "required: --query"),
        (["methods", "--verbose"], "unrecognized arguments"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_calls_end_with_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_what_docstrings_say() -> None:
    def function(a: int, b: int) -> None:
        """Do it.

        Parameters
        ----------
        a
            A thing, as in :func:`scllmda.tl.annotate`; ``.X`` if None. And more.
        b
            FASTA of it.

        Returns
        -------
        None.
        """

    assert documented(function) == {"a": "a thing, as in scllmda.tl.annotate; .X by default", "b": "FASTA of it"}


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"usage: scllmda {command}" in capsys.readouterr().out
