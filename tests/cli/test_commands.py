"""Every command but ``annotate`` does what its functions do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scllmda as sl
from scllmda.cli import _annotate, _data, main
from scllmda.cli._advice import for_command_line
from scllmda.cli._parser import COMMANDS

Json = Callable[..., Any]


def read(path: Path) -> AnnData:
    return ad.read_h5ad(path)


def test_fit_and_map(files: Path, tmp_path: Path, json_of: Json) -> None:
    fitted, mapped = tmp_path / "fitted.h5ad", tmp_path / "mapped.h5ad"
    genome = f"--genome={files / 'genome.fa'}"
    found = json_of("fit", f"--reference={files / 'reference.h5ad'}", f"--output={fitted}", genome, "--n-latent=32")
    reference = read(files / "reference.h5ad")
    sl.tl.embed_peaks(reference, genome=files / "genome.fa")
    sl.tl.cell_embeddings(reference, n_latent=32)
    expected = sl.get.portable_reference(reference)
    assert read(fitted).X is None
    np.testing.assert_array_equal(read(fitted).obsm["X_scllmda"], expected.obsm["X_scllmda"])
    assert read(fitted).uns["X_scllmda"]["params"]["use_varm"] == "X_kmer"
    assert (found["n_cells"], found["n_peaks"], found["n_dims"]) == (150, 800, expected.obsm["X_scllmda"].shape[1])

    found = json_of("map", f"--query={files / 'query.h5ad'}", f"--reference={fitted}", f"--output={mapped}")
    query = read(files / "query.h5ad")
    sl.tl.map_cells(query, expected)
    np.testing.assert_array_equal(read(mapped).obsm["X_scllmda"], query.obsm["X_scllmda"])
    assert (found["n_cells"], found["n_dims"]) == query.obsm["X_scllmda"].shape
    assert found["coverage"]["n_matched_query"] == query.uns["X_scllmda"]["coverage"]["n_matched_query"]


def test_embed(files: Path, tmp_path: Path, json_of: Json) -> None:
    output = tmp_path / "embedded.h5ad"
    arguments = [f"--input={files / 'reference.h5ad'}", f"--genome={files / 'genome.fa'}", f"--output={output}"]
    found = json_of("embed", *arguments, "--encoder=random", "--window=200", f"--cache-dir={tmp_path / 'cache'}")
    reference = read(files / "reference.h5ad")
    sl.tl.embed_peaks(reference, "random", genome=files / "genome.fa", window=200)
    np.testing.assert_array_equal(read(output).varm["X_random"], reference.varm["X_random"])
    assert (found["n_peaks"], found["n_dims"]) == reference.varm["X_random"].shape
    assert found["key"] == "X_random"
    assert any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(("command", "option"), [("embed", "input"), ("fit", "reference")])
def test_a_cluster_that_is_not_there(
    command: str, option: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    paths = [f"--{option}={files / 'reference.h5ad'}", f"--output={tmp_path / 'new.h5ad'}"]
    assert main([command, *paths, "--client=no-scheduler"]) == 1
    assert "no-scheduler" in capsys.readouterr().err


@pytest.fixture(scope="module")
def fragments(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fragments inside each peak that is open in a cell of the query."""
    query = read(files / "query.h5ad")
    rows, columns = query.X.nonzero()
    where = query.var.iloc[columns]
    table = pd.DataFrame(
        {
            "chrom": where["chrom"],
            "start": where["start"] + 5,
            "end": where["start"] + 60,
            "cell": query.obs_names[rows],
        }
    ).sort_values(["chrom", "start"])
    path = tmp_path_factory.mktemp("fragments") / "fragments.tsv.gz"
    with gzip.open(path, "wt") as file:
        pd.concat([table, table]).to_csv(file, sep="\t", header=False, index=False)
    return path


def test_count(files: Path, fragments: Path, tmp_path: Path, json_of: Json) -> None:
    pytest.importorskip("snapatac2")
    output, barcodes = tmp_path / "counts.h5ad", tmp_path / "barcodes.tsv"
    cells = read(files / "query.h5ad").obs_names[:50]
    barcodes.write_text("\n".join(cells) + "\n")
    peaks = f"--peaks={files / 'reference.h5ad'}"
    counting = [f"--barcodes={barcodes}", "--counting=fragment"]
    found = json_of("count", f"--fragments={fragments}", peaks, f"--output={output}", *counting)
    expected = sl.pp.count_fragments(fragments, files / "reference.h5ad", barcodes=cells, counting="fragment")
    assert (read(output).X != expected.X).nnz == 0
    assert read(output).obs_names.tolist() == cells.tolist()
    assert (found["n_cells"], found["n_peaks"], found["counting"]) == (50, 800, "fragment")


def test_annotate_and_map_count_fragments(files: Path, fragments: Path, tmp_path: Path, json_of: Json) -> None:
    pytest.importorskip("snapatac2")
    reference, output = files / "reference.h5ad", tmp_path / "labels.h5ad"
    found = json_of(
        "annotate", f"--query={fragments}", f"--reference={reference}", f"--output={output}", "--min-fragments=20"
    )
    query = sl.pp.count_fragments(fragments, reference, min_fragments=20)
    sl.tl.annotate(query, reference)
    pd.testing.assert_frame_equal(sl.get.annotation(read(output)), sl.get.annotation(query))
    assert found["n_cells"] == query.n_obs

    fitted = tmp_path / "fitted.h5ad"
    json_of("fit", f"--reference={reference}", f"--output={fitted}")
    json_of("map", f"--query={fragments}", f"--reference={fitted}", f"--output={output}", "--min-fragments=20")
    sl.tl.map_cells(query, fitted)
    np.testing.assert_array_equal(read(output).obsm["X_scllmda"], query.obsm["X_scllmda"])


def test_several_files_of_fragments(files: Path, fragments: Path, tmp_path: Path, json_of: Json) -> None:
    pytest.importorskip("snapatac2")
    paths = [tmp_path / sample / "outs" / "fragments.tsv.gz" for sample in ("liver", "spleen")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_bytes(fragments.read_bytes())
    reference, output, table = files / "reference.h5ad", tmp_path / "labels.h5ad", tmp_path / "labels.tsv"
    given = [f"--reference={reference}", f"--output={output}", f"--table={table}", "--min-fragments=20"]
    found = json_of("annotate", "--query", *paths, *given)
    query = sl.pp.count_fragments({"liver": paths[0], "spleen": paths[1]}, reference, min_fragments=20)
    sl.tl.annotate(query, reference)
    pd.testing.assert_frame_equal(sl.get.annotation(read(output)), sl.get.annotation(query))
    assert read(output).obs["sample"].tolist() == query.obs["sample"].tolist()
    assert found["n_cells"] == query.n_obs
    with pytest.raises(SystemExit, match="2"):
        main(["annotate", "--query", str(paths[0]), str(reference), *given])


@pytest.mark.parametrize("command", ["annotate", "map", "count"])
def test_fragments_are_checked_before_any_work(
    files: Path,
    fragments: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    packed, output = tmp_path / "fragments.tsv.zst", f"--output={tmp_path / 'new.h5ad'}"
    packed.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    names = ("fragments", "peaks") if command == "count" else ("query", "reference")
    monkeypatch.setattr(sl.io, "read", lambda *_, **__: pytest.fail("a file was read"))
    reference = f"--{names[1]}={files / 'reference.h5ad'}"
    pytest.importorskip("snapatac2")
    assert main([command, f"--{names[0]}={packed}", reference, output]) == 1
    said = capsys.readouterr().err
    assert f"--{names[0]}: '{packed}' is packed by zstd; expected fragments" in said
    assert f"zstd -d {packed}" in said
    monkeypatch.setitem(sys.modules, "snapatac2", None)
    assert main([command, f"--{names[0]}={fragments}", reference, output]) == 1
    assert "pip install 'scllmda[fragments]'" in capsys.readouterr().err


def test_columns_are_looked_for_before_fragments_are_counted(
    files: Path, fragments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("snapatac2")
    monkeypatch.setattr(_data, "read_query", lambda *_: pytest.fail("fragments were counted"))
    monkeypatch.setattr(_annotate, "read_query", _data.read_query)
    paths = [f"--query={fragments}", f"--reference={files / 'reference.h5ad'}", f"--table={tmp_path / 'labels.tsv'}"]
    assert main(["annotate", *paths, "--labels-key=celltype"]) == 1
    assert "Did you mean 'cell_type'? Pass --labels-key the column to use." in capsys.readouterr().err
    assert main(["annotate", *paths, "--n-neighbors=0"]) == 1
    assert "Found --n-neighbors 0; expected a positive number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pass labels_key= the column, or mod=.", "Pass --labels-key the column, or mod=."),
        ("Found n_neighbors=0; expected more.", "Found --n-neighbors 0; expected more."),
        ("Run sl.tl.cell_embeddings(a), then sl.tl.annotate.", "Run `scllmda fit`, then `scllmda annotate`."),
        ("scllmda.pp.match_peaks(query, n_neighbors=1)", "scllmda.pp.match_peaks(query, n_neighbors=1)"),
        ("scllmda.pp.count_fragments('a (b).tsv.gz', reference)", "`scllmda count`"),
        ("write_h5ad(path, compression='gzip')", "write_h5ad(path, compression='gzip')"),
    ],
)
def test_advice_is_of_the_command_line(text: str, expected: str) -> None:
    assert for_command_line(text, {"labels_key", "n_neighbors"}) == expected


def test_a_file_compressed_by_zstd(files: Path, tmp_path: Path, json_of: Json) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    path = tmp_path / "query.h5ad"
    cells = read(files / "query.h5ad")
    cells.write_h5ad(path, compression=hdf5plugin.FILTERS["zstd"])
    np.testing.assert_array_equal(sl.io.read(path).X.toarray(), cells.X.toarray())
    # Another process, for this one has the filter since the file was written.
    program = [sys.executable, "-m", "scllmda.cli", "annotate", f"--query={path}", "--json", "--quiet"]
    program += [f"--reference={files / 'reference.h5ad'}", f"--table={tmp_path / 'labels.tsv'}"]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["n_cells"] == cells.n_obs


@pytest.mark.parametrize("raw", [False, True])
def test_evaluate(files: Path, json_of: Json, capsys: pytest.CaptureFixture[str], raw: bool) -> None:
    annotated = read(files / "annotated.h5ad")
    arguments = [f"--input={files / 'annotated.h5ad'}", "--truth=cell_type", "--n-bins=5", *["--raw"] * raw]
    found = json_of("evaluate", *arguments)
    labels = annotated.obs["scllmda_raw" if raw else "scllmda"]
    proba = annotated.obsm["scllmda_proba"]
    sets = annotated.obsm["scllmda_set"]
    expected = sl.metrics.annotation_report(annotated.obs["cell_type"], labels, proba, sets=sets, n_bins=5)
    assert {name: found[name] for name in expected} == expected

    assert main(["evaluate", *arguments]) == 0
    rows = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert {name: float(value) for name, value in rows.items()} == pytest.approx(expected, abs=5.1e-4)


def test_report(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "report.html"
    arguments = [f"--input={files / 'annotated.h5ad'}", f"--output={output}", "--truth=cell_type", "--basis=X_map"]
    assert main(["report", *arguments, f"--reference={files / 'reference.h5ad'}"]) == 0
    assert f"wrote {output}" in capsys.readouterr().out
    assert output.read_text().rstrip().endswith("</html>")


@pytest.mark.parametrize(("command", "table"), [("methods", sl.get.methods), ("encoders", sl.get.encoders)])
def test_registries(
    json_of: Json, capsys: pytest.CaptureFixture[str], command: str, table: Callable[[], pd.DataFrame]
) -> None:
    rows = pd.DataFrame(json_of(command)[command]).set_index("name")
    expected = table()
    assert rows.astype(str).to_dict() == expected.astype(str).to_dict()

    assert main([command]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if not line.startswith(" ")] == expected.index.tolist()
    assert all(" ".join(str(value).split()) in " ".join(text.split()) for value in expected["description"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "labels-key", "max-false-rejection", "cache-dir", "min-fragments"):
        assert word in script


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["scllmda", "ann"], {"annotate"}),
        (["scllmda", "annotate", "--min-"], {"--min-overlap", "--min-probability", "--min-fragments"}),
        (["scllmda", "completion", ""], {"bash", "zsh", "fish"}),
        (["scllmda", "annotate", "--query", "some"], {"some_file"}),
    ],
)
def test_completion_in_bash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: set[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "some_file").touch()
    quoted = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _shtab_scllmda; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    program = ["bash", "--norc", "-c", f"{capsys.readouterr().out}\n{ask}"]
    done = subprocess.run(program, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert {line.strip() for line in done.stdout.splitlines()} == expected, done.stderr


def test_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    call = f"main(['demo', '--output={folder}', '--seed=1', '--json'])"
    code = f"import sys; from scllmda.cli import main; {call}; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found, annotated = json.loads(done.stdout), read(folder / "annotated.h5ad")
    right = np.mean(annotated.obs["scllmda"].astype(str) == annotated.obs["cell_type"].astype(str))
    assert found["against_truth"]["accuracy"] == right >= 0.9
    assert found["n_cells"] == annotated.n_obs
    for figure in ("transfer_map.png", "confusion.png"):
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")
    assert "</html>" in (folder / "report.html").read_text()
    labels = pd.read_csv(folder / "labels.tsv", sep="\t", index_col="cell")["label"]
    assert labels.tolist() == annotated.obs["scllmda"].astype(str).tolist()
    # What it began with is there to try the other commands on.
    for name in ("reference", "query"):
        assert "scllmda" not in read(folder / f"{name}.h5ad").obs
    # What compiles when it is first used takes longer than all else together.
    assert not set(done.stderr.split()) & {"umap", "pynndescent"}


def test_demo_checks_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", f"--output={tmp_path / 'file'}"]) == 1
    assert capsys.readouterr().err.startswith("scllmda: error: --output: Found a file")
