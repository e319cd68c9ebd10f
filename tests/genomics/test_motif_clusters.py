from __future__ import annotations

import numpy as np
import pytest

from scllmda.genomics import Motif, motif_clusters, read_motifs
from scllmda.genomics._motif_clusters import motif_similarity


def motif(word: str, noise: float = 0.0) -> Motif:
    counts = 20 * np.eye(4)[:, ["ACGT".index(base) for base in word]]
    return Motif(word, word, counts * (1 - noise) + 5 * noise)


GATA, REVERSE, LONGER, OTHER = motif("AGATAAG"), motif("CTTATCT"), motif("CCAGATAAGT"), motif("CCGGAAGT")


def test_similarity() -> None:
    found = motif_similarity([GATA, REVERSE, LONGER, OTHER, motif("AGATAAG", noise=0.3)])
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    assert np.isclose(found[0, 1], 1), "of the other strand"
    # Seven of ten positions in common: the product of norms is that of seven and of ten equal columns.
    assert np.isclose(found[0, 2], np.sqrt(7 / 10))
    assert np.isclose(found[1, 2], np.sqrt(7 / 10))
    assert found[0, 3] < 0.6
    assert found[0, 4] > 0.99


def test_clusters() -> None:
    assert motif_clusters([GATA, OTHER, REVERSE, LONGER]).tolist() == [0, 1, 0, 0]
    assert motif_clusters([GATA, OTHER, REVERSE, LONGER], min_similarity=0.95).tolist() == [0, 1, 0, 2]
    assert motif_clusters([OTHER, LONGER, GATA]).tolist() == [0, 1, 1]
    assert motif_clusters([GATA]).tolist() == [0]
    assert motif_clusters([]).tolist() == []


def test_families_of_jaspar() -> None:
    pytest.importorskip("pyjaspar")
    motifs = [m for m in read_motifs("JASPAR2024") if m.name.upper().startswith(("GATA", "KLF", "CEBP", "STAT", "SOX"))]
    clusters = motif_clusters(motifs)

    def of(start: str) -> set[int]:
        return {int(c) for c, m in zip(clusters, motifs, strict=True) if m.name.upper().startswith(start)}

    assert len(of("GATA")) == 1
    for one, other in (("GATA", "KLF"), ("GATA", "CEBP"), ("KLF", "STAT"), ("CEBP", "SOX")):
        assert not of(one) & of(other)
    assert len(set(clusters)) < len(motifs) / 3
