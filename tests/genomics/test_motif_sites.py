from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scllmda.genomics import Motif, _motif_sites, find_motif_sites, motifs_in, score_threshold

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_motifs(lengths: list[int], *, seed: int = 0) -> list[Motif]:
    rng = np.random.default_rng(seed)
    return [Motif(f"m{i}", "m", rng.dirichlet([0.3] * 4, n).T * 50) for i, n in enumerate(lengths)]


def words(motif: Motif) -> tuple[list[str], NDArray[np.int64]]:
    """All words of a motif's length, and what each scores."""
    scores = np.round(100 * np.log2((motif.counts + 0.2) / (motif.counts + 0.2).sum(axis=0) * 4))
    found = ["".join(word) for word in product("ACGT", repeat=motif.length)]
    return found, np.array([sum(scores["ACGT".index(b), j] for j, b in enumerate(word)) for word in found]).astype(int)


def by_word(sequences: list[str], motifs: list[Motif], p_value: float) -> list[tuple[int, int, int, int, float]]:
    """(motif, sequence, start, strand, score) of all sites, from what each of all words scores."""
    found = []
    for m, motif in enumerate(motifs):
        all_words, scores = words(motif)
        # Of the lowest score that so few words reach; the best one, if too many have that.
        fits = [s for s in np.unique(scores) if (scores >= s).mean() <= p_value] or [scores.max()]
        sites = {word: s / 100 for word, s in zip(all_words, scores, strict=True) if s >= fits[0]}
        for i, text in enumerate(sequences):
            for start in range(len(text) - motif.length + 1):
                word = text[start : start + motif.length]
                for strand, read in ((1, word), (-1, word.translate(COMPLEMENT)[::-1])):
                    if read in sites:
                        found.append((m, i, start, strand, sites[read]))
    return sorted(found)


def as_tuples(sites: _motif_sites.MotifSites) -> list[tuple[int, int, int, int, float]]:
    columns = (sites.motif, sites.sequence, sites.start, sites.strand, np.round(sites.score.astype(float), 2))
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("block", [2**23, 300])
@pytest.mark.parametrize("p_value", [5e-5, 2e-3])
def test_sites_are_all_words_that_score_enough(p_value: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_motif_sites, "_BLOCK", block)
    rng = np.random.default_rng(1)
    motifs = random_motifs([4, 5, 6, 7, 8, 8])
    sequences = ["".join(rng.choice(list("ACGTN"), size, p=[0.3, 0.19, 0.2, 0.3, 0.01])) for size in (600, 300, 5, 800)]
    # The best word of each motif, at both ends of a sequence.
    best = ["".join("ACGT"[i] for i in motif.counts.argmax(axis=0)) for motif in motifs]
    sequences += ["", *(f"{word}N{word.translate(COMPLEMENT)[::-1]}" for word in best)]
    found = find_motif_sites(sequences, motifs, p_value=p_value)
    expected = by_word(sequences, motifs, p_value)
    assert len(expected) > 20
    assert as_tuples(found) == expected
    present = np.zeros((len(sequences), len(motifs)), dtype=bool)
    for motif, sequence, *_ in expected:
        present[sequence, motif] = True
    for matrix in (found.present(), motifs_in(sequences, motifs, p_value=p_value)):
        assert matrix.dtype == bool
        assert (matrix.toarray() == present).all()


@pytest.mark.parametrize("length", [9, 16, 25])
def test_long_motifs_as_in_a_dense_scan(length: int) -> None:
    rng = np.random.default_rng(length)
    (motif,) = random_motifs([length], seed=length)
    text = "".join(rng.choice(list("ACGT"), 200_000))
    scores = np.round(100 * np.log2((motif.counts + 0.2) / (motif.counts + 0.2).sum(axis=0) * 4)).astype(int)
    threshold, p_value = score_threshold(motif.scores(), 5e-5)
    code = np.array(["ACGT".index(base) for base in text])
    found = find_motif_sites([text], [motif])
    for strand, matrix in ((1, scores), (-1, scores[::-1, ::-1])):
        dense = sum(matrix[code[j : len(text) - length + 1 + j], j] for j in range(length))
        mine = found.strand == strand
        assert found.start[mine].tolist() == np.flatnonzero(dense >= threshold).tolist()
        assert np.allclose(found.score[mine] * 100, dense[dense >= threshold], atol=1e-3)
    # In random DNA as many as promised, within five standard deviations.
    expected = 2 * len(text) * p_value
    assert abs(len(found) - expected) < 5 * np.sqrt(expected)


@given(seed=st.integers(0, 10**6), length=st.integers(4, 6), p_value=st.floats(1e-5, 0.2))
def test_threshold_is_of_the_exact_distribution(seed: int, length: int, p_value: float) -> None:
    (motif,) = random_motifs([length], seed=seed)
    _, scores = words(motif)
    if (scores == scores.max()).mean() > 0.01:
        return
    threshold, found = score_threshold(motif.scores(), p_value)
    assert np.isclose(found, (scores >= threshold).mean(), rtol=1e-9)
    assert found <= p_value or threshold == scores.max()
    assert (scores >= threshold - 1).mean() > p_value or threshold == scores.max()


def test_lower_case_is_read_and_no_site_has_an_unknown_base() -> None:
    gata = Motif("m", "GATA", 20 * np.eye(4)[:, [0, 2, 0, 3, 0, 0, 2]])
    assert find_motif_sites(["ccagataagcc"], [gata]).start.tolist() == [2]
    for i in range(7):
        text = "CCAGATAAGCC"
        assert not len(find_motif_sites([text[: 2 + i] + "N" + text[3 + i :]], [gata]))


def test_nothing_to_scan() -> None:
    assert find_motif_sites([], random_motifs([8])).present().shape == (0, 1)
    assert find_motif_sites(["ACGT"], []).present().shape == (1, 0)
    assert motifs_in([], random_motifs([8])).shape == (0, 1)


def test_motif_without_information() -> None:
    with pytest.raises(ValueError, match=r"best words are 1 of all words of its length, 6.*expected at most 0.01"):
        find_motif_sites(["ACGT"], [Motif("flat", "flat", np.ones((4, 6)))])
