from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scllmda.genomics import Motif, read_motifs

COUNTS = np.array([[4, 19, 0, 0, 0, 0], [16, 0, 20, 0, 0, 0], [0, 1, 0, 20, 0, 20], [0, 0, 0, 0, 20, 0]])
MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA0004.1 Arnt
letter-probability matrix: alength= 4 w= 6 nsites= 20 E= 0
{rows}
URL http://jaspar.elixir.no
MOTIF second
letter-probability matrix:
 0.013  0.487  0.25 0.25
"""
JASPAR = ">MA0004.1\tArnt\n" + "".join(
    f"{base} [{' '.join(map(str, row))} ]\n" for base, row in zip("ACGT", COUNTS, strict=True)
)
TRANSFAC = (
    "AC MA0004.1\nXX\nID Arnt\nXX\nPO\tA\tC\tG\tT\n"
    + "".join(f"{i + 1:02}\t" + "\t".join(f"{n:.1f}" for n in row) + "\n" for i, row in enumerate(COUNTS.T))
    + "XX\nCC tax_group:vertebrates\nXX\n//\n"
)


def as_meme() -> str:
    return MEME.format(rows="\n".join(" " + "  ".join(f"{p:.6f}" for p in row / 20) for row in COUNTS.T))


@pytest.mark.parametrize("text", [as_meme(), as_meme().replace("\n", "\r\n"), JASPAR, TRANSFAC])
def test_files(text: str, tmp_path: Path) -> None:
    if not text.startswith("MEME"):
        pytest.importorskip("Bio")
    path = tmp_path / "motifs.txt"
    path.write_bytes(text.encode())
    for source in (path, str(path)):
        motif, *others = read_motifs(source)
        assert (motif.id, motif.name) == ("MA0004.1", "Arnt")
        assert np.allclose(motif.counts, COUNTS)
        assert [(other.id, other.name) for other in others] == ([("second", "second")] if "MEME" in text else [])
        if others:
            assert np.allclose(others[0].counts.T, [[0.26, 9.74, 5, 5]])


def test_jaspar() -> None:
    pytest.importorskip("pyjaspar")
    from pyjaspar import jaspardb

    theirs = jaspardb(release="JASPAR2024").fetch_motifs(collection="CORE", tax_group=["insects"])
    motifs = read_motifs("jaspar 2024", tax_group="insects")
    assert len(motifs) == len(theirs) > 100
    for motif, other in zip(motifs, theirs, strict=True):
        assert (motif.id, motif.name, motif.tax_group) == (other.matrix_id, other.name, "insects")
        assert np.array_equal(motif.counts, [other.counts[base] for base in "ACGT"])
    assert next(motif.family for motif in motifs if motif.name == "srp") == "C4-GATA-related"
    assert [motif.counts.tolist() for motif in read_motifs(theirs[:9])] == [m.counts.tolist() for m in motifs[:9]]


def test_other_sources() -> None:
    by_name = read_motifs({"counts": COUNTS, "probabilities": COUNTS / 20})
    assert [motif.name for motif in by_name] == ["counts", "probabilities"]
    assert all(np.allclose(motif.counts, COUNTS) for motif in by_name)
    assert read_motifs(by_name) == by_name


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (5, TypeError, "Found motifs=5 .int.; expected a release of JASPAR"),
        ([5], TypeError, "Found 5 .int. among motifs="),
        ([], ValueError, "Found no motif in motifs="),
        ("nothing.meme", FileNotFoundError, "Did not find the file motifs='nothing.meme'"),
        ({"a": np.ones((3, 5))}, ValueError, r"'a' of motifs= has the shape \(3, 5\)"),
        ({"a": np.log(COUNTS / 20 + 0.01)}, ValueError, "expected counts or probabilities, not scores"),
        ({"a": np.zeros((4, 5))}, ValueError, "expected counts or probabilities"),
        ([Motif("a", "b", COUNTS), Motif("a", "c", COUNTS)], ValueError, "1 ids of motifs= repeat .first: 'a'"),
    ],
)
def test_what_is_no_motif(source: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_motifs(source)


def test_unknown_releases_and_groups() -> None:
    pytest.importorskip("pyjaspar")
    with pytest.raises(ValueError, match=r"Found motifs='JASPAR1999'; releases of JASPAR that pyjaspar has are .*2024"):
        read_motifs("JASPAR1999")
    with pytest.raises(ValueError, match="no motifs of tax_group='martians' in JASPAR2026; expected one of JASPAR"):
        read_motifs(tax_group="martians")


@pytest.mark.parametrize("text", ["", "chr1\t5\t9\n", ">a\nnothing\n", "MEME version 4\n", "MEME version 4\nMOTIF a\n"])
def test_files_without_motifs(text: str, tmp_path: Path) -> None:
    pytest.importorskip("Bio")
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=r"Found no motif in|Cannot read the motifs of|without a letter-probability"):
        read_motifs(tmp_path / "a.txt")


@pytest.mark.parametrize(("package", "text"), [("pyjaspar", None), ("Bio", JASPAR)])
def test_what_is_not_installed_is_said(
    package: str, text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "a.txt").write_text(text or "")
    with pytest.raises(ImportError, match=r"which is not installed. Install it: pip install 'scllmda\[motifs\]'"):
        read_motifs(None if text is None else tmp_path / "a.txt")
