"""A query of another genome build, lifted over: neither its names nor its places are those of the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import annotated, assert_same_annotation

import scllmda as sl
from scllmda.encoders import KmerEncoder
from scllmda.tl._sequences import Sequences

AWAY = 7000
"""How far along the genome the query's peaks are from where the reference's build has them."""


class Recorder(KmerEncoder):
    """The default encoder, with a record of the sequences that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def encode(self, sequences: Any, *, progress: bool = False) -> np.ndarray:
        self.asked |= set(sequences)
        return super().encode(sequences, progress=progress)


def chain_file(path: Path, blocks: list[tuple[str, int, str, int, int]]) -> Path:
    """Write a chain for each (contig, start, contig of the reference, start there, length)."""
    path.write_text(
        "".join(
            f"chain 1 {source} {start + length} + {start} {start + length} "
            f"{target} {there + length} + {there} {there + length} {i}\n{length}\n\n"
            for i, (source, start, target, there, length) in enumerate(blocks)
        )
    )
    return path


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnnData, AnnData, Path, Path]:
    """Return a reference, a query of another build, the reference's genome, and a chain; nobody brings sequences."""
    folder = tmp_path_factory.mktemp("genome")
    genome = folder / "genome.fa"
    reference, query = sl.datasets.simulate(
        n_reference=250, n_query=100, n_peaks=2000, n_types=4, shared_peaks=0.3, fasta=genome
    )
    for adata in (reference, query):
        del adata.var["sequence"]
    ends = query.var.groupby("chrom", observed=True)["end"].max()
    blocks = [(str(contig), AWAY, str(contig), 0, int(end)) for contig, end in ends.items()]
    return reference, query, genome, chain_file(folder / "back.chain", blocks)


def moved(query: AnnData) -> AnnData:
    """Return the query as its own build has it."""
    var = query.var[["chrom", "start", "end"]].copy()
    var[["start", "end"]] += AWAY
    var.index = [f"{contig}:{start}-{end}" for contig, start, end in var.itertuples(index=False)]
    return AnnData(query.X, obs=query.obs, var=var)


@pytest.fixture(scope="module")
def fitted(objects: tuple[AnnData, AnnData, Path, Path]) -> AnnData:
    """Return the reference, fitted with the sequences of its genome."""
    reference = objects[0].copy()
    sl.pp.peak_sequences(reference, objects[2])
    sl.tl.embed_peaks(reference)
    del reference.var["sequence"]
    sl.tl.cell_embeddings(reference, n_latent=16)
    return reference


@pytest.mark.parametrize("frozen", [False, True])
def test_own_peaks_are_not_read_from_the_genome_of_the_reference(
    objects: tuple[AnnData, AnnData, Path, Path], fitted: AnnData, *, frozen: bool
) -> None:
    _, query, genome, chain = objects
    reference, encoder = fitted.copy(), Recorder()
    # In one build, peaks of the query alone tell by their DNA where its cells belong.
    options: dict[str, Any] = {"genome": genome, "frozen": frozen}
    here = annotated(query, reference, **options)
    assert here.uns["scllmda"]["coverage"]["n_own"] > 1000
    lifted = annotated(moved(query), reference, encoder=encoder, chain=chain, **options)
    coverage = lifted.uns["scllmda"]["coverage"]
    assert coverage["n_lifted"] == 2000
    assert coverage["n_own"] == 0
    assert coverage["sequence_side"] == "reference"
    assert encoder.asked == set()
    # It is as if the query had no genome.
    expected = annotated(query, reference, frozen=frozen)
    assert_same_annotation(lifted, expected, ignore=("coverage", "params"))


def test_the_reference_s_peaks_are_read_from_it(objects: tuple[AnnData, AnnData, Path, Path]) -> None:
    reference, query, genome, chain = objects
    encoder = Recorder()
    found = annotated(moved(query), reference, encoder=encoder, chain=chain, genome=genome)
    coverage = found.uns["scllmda"]["coverage"]
    assert (coverage["sequence"], coverage["sequence_side"], coverage["n_own"]) == ("genome", "reference", 0)
    of_reference = reference.copy()
    sl.pp.peak_sequences(of_reference, genome)
    assert encoder.asked == set(of_reference.var["sequence"].str.upper())


def test_sequences_that_the_query_brings_are_read(
    objects: tuple[AnnData, AnnData, Path, Path], fitted: AnnData
) -> None:
    _, query, genome, chain = objects
    asked = moved(query)
    here = query.copy()
    sl.pp.peak_sequences(here, genome)
    asked.var["sequence"] = here.var["sequence"].to_numpy()
    found = annotated(asked, fitted, chain=chain, genome=genome)
    assert found.uns["scllmda"]["coverage"]["n_own"] > 1000
    assert found.uns["scllmda"]["coverage"]["sequence_side"] == "both"
    assert_same_annotation(found, annotated(here, fitted), ignore=("coverage", "params"))


def test_a_genome_is_of_the_reference_s_build() -> None:
    sequences = Sequences(KmerEncoder(), "hg38.fa")
    bare = AnnData(var=pd.DataFrame(index=["chr1:0-500"]))
    assert sequences.of_query(lifted=False).known(bare)
    lifted = sequences.of_query(lifted=True)
    assert not lifted.known(bare)
    assert lifted.embed(bare) == (None, "none")
    assert (lifted.genome, lifted.encoder) == (None, sequences.encoder)
    bare.var["sequence"] = "ACGT"
    assert lifted.known(bare)


@pytest.mark.parametrize("frozen", [False, True])
def test_peaks_of_one_name_are_not_one_peak(tmp_path: Path, *, frozen: bool) -> None:
    """Two contigs have changed their names: each peak of the query has the name of another one of the reference."""
    reference, query = sl.datasets.simulate(n_reference=150, n_query=100, n_peaks=800, n_types=4, shared_peaks=1)
    # The same places on either contig, so that the names of both objects are the same.
    starts = np.sort(np.random.default_rng(0).choice(4000, 400, replace=False)) * 1000
    names = [f"chr{contig}:{start}-{start + 500}" for contig in (1, 2) for start in starts]
    reference, query, swapped = (
        AnnData(adata.X, obs=adata.obs, var=pd.DataFrame(index=index))
        for adata, index in ((reference, names), (query, names), (query, names[400:] + names[:400]))
    )
    assert set(swapped.var_names) == set(reference.var_names)
    chain = chain_file(tmp_path / "swap.chain", [("chr1", 0, "chr2", 0, 4_000_500), ("chr2", 0, "chr1", 0, 4_000_500)])
    sl.tl.cell_embeddings(reference, n_latent=16)
    expected = annotated(query, reference, frozen=frozen)
    found = annotated(swapped, reference, frozen=frozen, chain=chain)
    # The order of the peaks along the genome is in the last bits.
    np.testing.assert_allclose(found.obsm["scllmda_proba"], expected.obsm["scllmda_proba"], atol=1e-3)
    assert (found.obs["scllmda"] == expected.obs["scllmda"]).all()
    by_name = annotated(swapped, reference, frozen=frozen)
    truth = query.obs["cell_type"].astype(str)
    right, wrong = ((adata.obs["scllmda"].astype(str) == truth).mean() for adata in (found, by_name))
    assert right > wrong + 0.2
    matched = sl.pp.match_peaks(swapped, reference, chain=chain)
    np.testing.assert_array_equal(matched.X.toarray(), query.X.toarray())
