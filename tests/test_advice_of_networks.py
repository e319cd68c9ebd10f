"""Advice of the language models over cells, of their pre-training, and of expression, followed to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import mudata as md
import muon
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from tests._advice import Advice, code_in, each, follow, follow_warning
from tests._objects import pair, paired

import scllmda as sl
from scllmda._files import columns_of_their_own

TINY = {"preset": "small", "n_dims": 16, "n_layers": 1, "n_hidden": 32, "n_epochs": 1, "min_steps": 1}
TRAINING = {**TINY, "pretrain_epochs": 1}
"""Of EpiFoundation."""
ISLANDS = {"preset": "small", "n_dims": 16, "n_layers": 1, "n_epochs": 1, "min_steps": 1, "pretrain_epochs": 1}
"""Of annATAC."""

LABELED = "query.obs['scllmda'].notna().all()"
FORETOLD = "np.isfinite(query.obsm['expression']).all()"
WEIGHTS = "sl.tl.pretrain(mdata, 'epifoundation', output=folder, recipe=TRAINING)"
TRAINED = "(folder / 'config.json').exists()"
SCORED = "np.isfinite(activity.X.data).all() and activity.X.nnz"

REFUSED = {
    "embeddings without weights": Advice(
        WEIGHTS,
        "sl.tl.cell_embeddings(query, model='epifoundation', recipe=TINY)",
        "and there are none. Pass weights= the folder that sl.tl.pretrain(mdata, 'epifoundation', output=folder) wrote",
        ["sl.tl.cell_embeddings(query, model='epifoundation', recipe=TINY, weights=folder)"],
        "query.obsm['X_scllmda'].shape == (100, 16)",
    ),
    "weights twice": Advice(
        WEIGHTS + "; TWICE = TINY | {'weights': 'elsewhere'}",
        "sl.tl.cell_embeddings(query, model='epifoundation', recipe=TWICE, weights=folder)",
        "expected one of both",
        ["del TWICE['weights']; <call>"],
        "query.obsm['X_scllmda'].shape == (100, 16)",
    ),
    "weights of other genes": Advice(
        WEIGHTS + "; mdata['rna'].var_names = mdata['rna'].var_names.str.upper(); mdata.update(); READ = {'weights': "
        "str(folder), **TINY}",
        "sl.tl.predict_expression(query, mdata, method='epifoundation', recipe=READ)",
        "expected names of the same kind. Rename the genes, or leave out the weights",
        [
            "mdata['rna'].var_names = mdata['rna'].var_names.str.lower(); mdata.update(); <call>",
            "del READ['weights']; <call>",
        ],
        FORETOLD,
    ),
    "weights of another build": Advice(
        "mdata['atac'].uns['genome'] = 'mm10'; " + WEIGHTS + "; query.uns['genome'] = reference.uns['genome'] = 'mm39'",
        "sl.tl.annotate(query, reference, method='epifoundation', recipe=TINY | {'weights': str(folder)})",
        "or, if .uns['genome'] is wrong, correct it",
        ["query.uns['genome'] = reference.uns['genome'] = 'mm10'; <call>"],
        LABELED,
    ),
    "weights of the other model": Advice(
        WEIGHTS,
        "sl.tl.annotate(query, reference, method='annatac', recipe=ISLANDS | {'weights': str(folder)})",
        "Pass a folder that sl.tl.pretrain(…, 'annatac', output=…) wrote",
        [
            "sl.tl.pretrain(sl.pp.peak_islands(reference), 'annatac', output=folder / 'b', recipe=ISLANDS); "
            "sl.tl.annotate(query, reference, method='annatac', recipe=ISLANDS | {'weights': str(folder / 'b')})"
        ],
        LABELED,
    ),
    "weights of islands of another width": Advice(
        "sl.tl.pretrain(sl.pp.peak_islands(reference, bin_size=2000), 'annatac', output=folder, recipe=ISLANDS | "
        "{'bin_size': 2000}); READ = ISLANDS | {'weights': str(folder)}",
        "sl.tl.annotate(query, reference, method='annatac', recipe=READ)",
        "expected the same. Pass recipe=<code>.",
        ["sl.tl.annotate(query, reference, method='annatac', recipe=READ | <code>)"],
        LABELED,
    ),
    "another model": Advice(
        "",
        "sl.tl.pretrain(mdata, 'epifundation', output=folder, recipe=TRAINING)",
        "Unknown model='epifundation'; expected one of <code>.",
        ["sl.tl.pretrain(mdata, (<code>)[1], output=folder, recipe=TRAINING)"],
        TRAINED,
    ),
    "a folder with another model": Advice(
        WEIGHTS,
        "sl.tl.pretrain(sl.pp.peak_islands(reference), 'annatac', output=folder, recipe=ISLANDS)",
        "which would be lost; expected one of 'annatac', or none. Pass output= another folder",
        ["sl.tl.pretrain(sl.pp.peak_islands(reference), 'annatac', output=folder / 'b', recipe=ISLANDS)"],
        "(folder / 'b' / 'config.json').exists()",
    ),
    "a folder with another training": Advice(
        WEIGHTS,
        "sl.tl.pretrain(mdata, 'epifoundation', output=folder, recipe=TRAINING | {'lr': 0.01})",
        "Pass output= another folder, the same data and constants to go on with it, or resume=False to replace it",
        [
            "sl.tl.pretrain(mdata, 'epifoundation', output=folder / 'b', recipe=TRAINING | {'lr': 0.01})",
            WEIGHTS,
            "sl.tl.pretrain(mdata, 'epifoundation', output=folder, recipe=TRAINING | {'lr': 0.01}, resume=False)",
        ],
        TRAINED,
    ),
    "constants of fine-tuning in a pre-training": Advice(
        "READ = TRAINING | {'weights': 'folder'}",
        "sl.tl.pretrain(mdata, 'epifoundation', output=folder, recipe=READ)",
        "has no effect on pre-training; expected it to be left out",
        ["del READ['weights']; <call>"],
        TRAINED,
    ),
    "peaks in place of islands": Advice(
        "",
        "sl.tl.pretrain(reference, 'annatac', output=folder, recipe=ISLANDS)",
        "expected cells × islands. Pass sl.pp.peak_islands(adata, tss), or recipe=",
        ["sl.tl.pretrain(sl.pp.peak_islands(reference), 'annatac', output=folder, recipe=ISLANDS)"],
        TRAINED,
    ),
    "an AnnData in place of both modalities": Advice(
        "atac, rna = mdata['atac'], mdata['rna']",
        "sl.tl.pretrain(atac, 'epifoundation', output=folder, recipe=TRAINING)",
        "of the same cells. Pass mudata.<code>.",
        ["mdata = md.<code>; " + WEIGHTS],
        TRAINED,
    ),
    "expression by another name": Advice(
        "mdata = md.MuData({'atac': mdata['atac'], 'gex': mdata['rna']})",
        "sl.tl.predict_expression(query, mdata)",
        "has no modality 'rna', only ['atac', 'gex']; expected one with the expression of the same cells. Pass "
        "rna_mod=",
        ["sl.tl.predict_expression(query, mdata, rna_mod='gex')"],
        FORETOLD,
    ),
    "expression that is scaled": Advice(
        "mdata['rna'].layers['counts'] = mdata['rna'].X; mdata['rna'].X = mdata['rna'].X * 0.5 + 0; "
        "mdata['rna'].X.data[0] = 1000.25",
        "sl.tl.predict_expression(query, mdata)",
        "(sc.pp.normalize_total, then sc.pp.log1p). Pass rna_layer= the one that holds it",
        [
            "sl.tl.predict_expression(query, mdata, rna_layer='counts')",
            "sc.pp.normalize_total(mdata['rna']); sc.pp.log1p(mdata['rna']); <call>",
        ],
        FORETOLD,
    ),
    "cells of one modality alone": Advice(
        "mdata = md.MuData({'atac': mdata['atac'], 'rna': mdata['rna'][10:].copy()})",
        "sl.tl.predict_expression(query, mdata)",
        "expected the same cells in both. Keep those: muon.<code>.",
        ["muon.<code>; <call>"],
        FORETOLD,
    ),
    "a cell twice": Advice(
        "mdata['atac'].obs_names = mdata['rna'].obs_names = ['a', 'a', *map(str, range(148))]; atac = mdata['atac']",
        "sl.tl.predict_expression(query, mdata)",
        "expected unique names. Number them: <code>.",
        ["mdata['rna'].obs_names_make_unique(); mdata['atac'].obs_names_make_unique(); mdata.update(); <call>"],
        FORETOLD,
    ),
    "query and reference the same": Advice(
        "cells = slice(0, 100)",
        "sl.tl.predict_expression(mdata, mdata)",
        "Pass a part of its cells as reference: reference=<code>.",
        ["query = mdata['atac'].copy(); sl.tl.predict_expression(query, mdata[:100].copy())"],
        FORETOLD,
    ),
    "genes that the reference lacks": Advice(
        "",
        "sl.tl.predict_expression(query, mdata, var_names=['gene 1', 'gene 999'])",
        "expected some of the 30 genes (such as 'gene 0'), each once. Pass var_names= those",
        ["sl.tl.predict_expression(query, mdata, var_names=['gene 1', 'gene 0'])"],
        "query.obsm['expression'].shape == (100, 2)",
    ),
    "a measured modality": Advice(
        "both = paired(query)",
        "sl.tl.predict_expression(both, mdata, key_added='rna')",
        "which is measured. Pass key_added= another name",
        ["sl.tl.predict_expression(both, mdata, key_added='foretold')"],
        "both['foretold'].shape == (100, 30)",
    ),
    "genes of another genome": Advice(
        "elsewhere = genes.assign(start=genes['start'] + 10**8, end=genes['end'] + 10**8)",
        "sl.tl.gene_activity(query, elsewhere, check_genome=False)",
        "Expected some. Pass genes= the annotation of the genome build that the peaks were called on",
        ["activity = sl.tl.gene_activity(query, genes, check_genome=False)"],
        SCORED,
    ),
    "genes by other columns": Advice(
        "odd = genes.rename(columns={'chrom': 'contig'})",
        "sl.tl.gene_activity(query, odd, check_genome=False)",
        "has no column 'chrom', only <…> Rename its columns",
        ["activity = sl.tl.gene_activity(query, odd.rename(columns={'contig': 'chrom'}), check_genome=False)"],
        SCORED,
    ),
    "a table with names of columns": Advice(
        "path = folder.with_suffix('.csv'); genes.to_csv(path, index=False)",
        "sl.tl.gene_activity(query, path, check_genome=False)",
        "Of a table with names of columns, pass pandas.read_csv(path, …)",
        ["activity = sl.tl.gene_activity(query, pd.read_csv(path), check_genome=False)"],
        SCORED,
    ),
    "an embedding that is not there": Advice(
        "adata = query",
        "sl.metrics.integration_report(query, 'cell_type', 'batch')",
        "or make one: scllmda.<code>.",
        ["sl.<code>; sl.metrics.integration_report(query, 'cell_type', 'batch')"],
        "'X_scllmda' in query.obsm",
    ),
    "expression of other cells": Advice(
        "observed = mdata['rna']; predicted = observed[20:].copy()",
        "sl.metrics.expression_report(observed, predicted)",
        "Take those of both: <code>.",
        ["<code>; <call>"],
        "observed.n_obs == 130",
    ),
    "genes that repeat": Advice(
        "names = ['a', 'a', *map(str, range(28))]; observed = mdata['rna'].copy(); predicted = mdata['rna'].copy(); "
        "observed.var_names = names; predicted.var_names = names[::-1]",
        "sl.metrics.expression_report(observed, predicted)",
        "Keep the first of each: adata = <code>.",
        [
            "adata = observed; observed = <code>; adata = predicted; predicted = <code>; <call>",
        ],
        "observed.n_vars == 29",
    ),
}

WARNED = {
    "pre-training on what is open or not": Advice(
        "islands = sl.pp.peak_islands(reference); islands.layers['counts'] = islands.X.copy(); islands.X.data[:] = 1; "
        "output = folder",
        "sl.tl.pretrain(islands, 'annatac', output=output, recipe=ISLANDS)",
        "expected counts, and not only whether peaks are open",
        ["islands.X = islands.layers['counts']; output = folder / 'b'; <call>"],
        TRAINED,
    ),
    "cells without an open island": Advice(
        "query.X = sp.csr_matrix(np.where(np.arange(100)[:, None] < 2, 0, query.X.toarray()))",
        "islands = sl.pp.peak_islands(query)",
        "To leave them out: <code>.",
        ["<code>"],
        "islands.n_obs == 98",
    ),
}


@pytest.fixture
def names(tmp_path: Path) -> Any:
    """Return what the user has at hand."""
    reference, query = pair()
    modules = {"sl": sl, "np": np, "pd": pd, "sp": sp, "ad": ad, "md": md, "muon": muon, "sc": sc}
    with columns_of_their_own():
        yield modules | {
            "pair": pair,
            "paired": paired,
            "reference": reference,
            "query": query,
            "mdata": paired(reference),
            "genes": genes_at(query.var),
            "folder": tmp_path / "weights",
            "TINY": TINY,
            "TRAINING": TRAINING,
            "ISLANDS": ISLANDS,
        }


def genes_at(peaks: pd.DataFrame) -> pd.DataFrame:
    """Return genes, each of which begins in a peak."""
    some = peaks.iloc[::20]
    names = [f"gene {i}" for i in range(len(some))]
    return pd.DataFrame(
        {
            "chrom": some["chrom"].to_numpy(str),
            "start": some["start"].to_numpy(),
            "end": some["start"].to_numpy() + 3000,
            "strand": "+",
            "name": names,
        }
    )


@each(REFUSED)
def test_after_an_error(name: str, way: int, names: dict[str, Any], warnings: list[str]) -> None:
    advice = REFUSED[name]
    exec(advice.given, names)
    with pytest.raises((ValueError, KeyError, TypeError, OSError)) as error:
        exec(advice.call, names)
    follow(advice, advice.done[way], code_in(str(error.value.args[-1]), advice.says), names)


@each(WARNED)
def test_after_a_warning(name: str, way: int, names: dict[str, Any], warnings: list[str]) -> None:
    follow_warning(WARNED[name], way, names, warnings)
