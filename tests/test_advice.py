"""Advice is followed to its end: what a message tells to do is done, and then the call works."""

from __future__ import annotations

import gzip
import subprocess
import sys
from functools import partial
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib.pyplot as plt
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._advice import Advice, code_in, each, follow, follow_warning
from tests._objects import pair, together

import scllmda as sl
from scllmda._files import columns_of_their_own

SIZES: dict[str, Any] = {"n_reference": 150, "n_query": 100, "n_peaks": 800, "n_types": 4}


RIGHT = "right(query) > 0.6"
ONE_RIGHT = "right(adata) > 0.6"
EMBEDDED = "np.isfinite(reference.obsm['X_scllmda']).all() and reference.obsm['X_scllmda'].any()"
WITH_DNA = "reference, query = pair(sequence=True)"
BOTH_SCALED = "for a in (query, reference): a.layers['counts'] = a.X; a.X = a.X.toarray() - 1"

CALLS = {
    "a modality by another name": Advice(
        "mdata = md.MuData({'peaks': reference})",
        "annotate(query, mdata)",
        "The reference, a MuData, has no modality 'atac', only ['peaks']. Pass mod= the one that holds the peaks, or "
        "the modality itself: mdata['…']",
        ["annotate(query, mdata, mod='peaks')", "annotate(query, mdata['peaks'])"],
        RIGHT,
    ),
    "labels in a column of another name": Advice(
        "",
        "annotate(query, reference, labels_key='celltype')",
        "Did you mean '<code>'? Pass labels_key= the column to use",
        ["annotate(query, reference, labels_key='<code>')"],
        RIGHT,
    ),
    "marker peaks that were not looked for": Advice(
        "",
        "table = sl.get.marker_peaks(query, 'cell_type_marker_peaks')",
        "Did not find marker peaks 'cell_type_marker_peaks' (<…>). Run <code> first",
        ["<code>(query, 'cell_type'); <call>"],
        "table.columns[0] == 'group'",
    ),
    "marker peaks under another key": Advice(
        "sl.tl.marker_peaks(query, 'cell_type')",
        "table = sl.get.marker_peaks(query, 'cell_type')",
        "Pass key= one of those that are there: ['<code>']",
        ["table = sl.get.marker_peaks(query, '<code>')"],
        "table.columns[0] == 'group'",
    ),
    "no marker to draw": Advice(
        "sl.tl.marker_peaks(query, 'cell_type', key_added='m')",
        "sl.pl.marker_peaks(query, 'm', min_log2fc=0.1, fdr=1e-9, show=False)",
        "Pass a larger fdr=, <code> for the first peaks whatever they are",
        ["axes = sl.pl.marker_peaks(query, 'm', min_log2fc=0.1, <code>, show=False)"],
        "axes[0].has_data()",
    ),
    "labels in a column that files cannot name": Advice(
        "query.obs['a/b'] = query.obs['cell_type']",
        "sl.tl.marker_peaks(query, 'a/b')",
        "The slot name 'a/b_marker_peaks' is empty or has a '/', which files cannot hold. Pass key_added= another one",
        ["sl.tl.marker_peaks(query, 'a/b', key_added='m')"],
        "'m' in query.uns",
    ),
    "batches in a column of another name": Advice(
        "",
        "annotate(query, reference, batch_key='Batch')",
        "of the reference; columns are ['cell_type', 'batch', 'platform']. Did you mean '<code>'? Pass batch_key=",
        ["annotate(query, reference, batch_key='<code>')"],
        RIGHT,
    ),
    "clusters in a column of another name": Advice(
        "query.obs['leiden'] = query.obs['cell_type']",
        "annotate(query, reference, majority_voting='leiden_1')",
        "of the query; columns are ['cell_type', 'batch', 'platform', 'leiden']. Did you mean '<code>'? Pass "
        "majority_voting=",
        ["annotate(query, reference, majority_voting='<code>')"],
        RIGHT,
    ),
    "domains in a column of another name": Advice(
        "",
        "sl.tl.cell_embeddings(adata, domain_key='platfrom', n_latent=8)",
        "Did you mean '<code>'? Pass domain_key=",
        ["sl.tl.cell_embeddings(adata, domain_key='<code>', n_latent=8)"],
        "adata.obsm['X_scllmda'].any()",
    ),
    "repeated peak names": Advice(
        "query = ad.concat([query, query[:, :3]], axis=1, merge='first')",
        "annotate(query, reference)",
        "3 peak names of the query repeat (first: 'chr1:455-955'); expected unique names. Keep the first of each: "
        "<code>.",
        ["<code>; <call>"],
        "query.n_vars == 800 and right(query) > 0.6",
    ),
    "a slot that is read": Advice(
        "adata.obsm['X_mine_da'] = adata.X[:, :10].toarray()",
        "sl.tl.graph_da_annotate(adata, 'cell_type', use_rep='X_mine_da', key_added='mine')",
        ".obsm['X_mine_da'], which is read as use_rep. Pass key_added= another name",
        ["sl.tl.graph_da_annotate(adata, 'cell_type', use_rep='X_mine_da', key_added='other')"],
        "'other' in adata.obs and adata.obsm['X_mine_da'].shape == (250, 10)",
    ),
    "peak embeddings that are read": Advice(
        WITH_DNA + "; sl.tl.embed_peaks(reference)",
        "sl.tl.cell_embeddings(reference, key_added='X_kmer', n_latent=8)",
        ".varm['X_kmer'], which is read as use_varm. Pass key_added= another name",
        ["sl.tl.cell_embeddings(reference, key_added='X_other', n_latent=8)"],
        "reference.varm['X_kmer'].shape == (800, 514) and reference.obsm['X_other'].any()",
    ),
    "positions that are read": Advice(
        "",
        "sl.pp.peak_sequences(query, fasta, key_added='start')",
        ".var['start'], which is read as positions. Pass key_added= another name",
        ["sl.pp.peak_sequences(query, fasta, key_added='dna')"],
        "query.var['dna'].tolist() == pair(sequence=True)[1].var['sequence'].tolist()",
    ),
    "a slash in a slot": Advice(
        "",
        "annotate(query, reference, key_added='a/b')",
        "'a/b' is empty or has a '/', which files cannot hold. Pass key_added= another one",
        ["annotate(query, reference, key_added='ab')"],
        "'ab' in query.obs",
    ),
    "no such device": Advice(
        "",
        "sl.tl.annotate(query, reference, device='gpu')",
        "expected 'auto', 'cpu', or a GPU that is there, such as 'cuda'",
        ["sl.tl.annotate(query, reference, device='auto')", "sl.tl.annotate(query, reference, device='cpu')"],
        RIGHT,
    ),
    "counts in a layer": Advice(
        "query.layers['counts'] = query.X; query.X = None",
        "annotate(query, reference)",
        "The query has no counts (.X is None). Pass layer= the one that holds them",
        ["annotate(query, reference, layer='counts', reference_layer='X')"],
        RIGHT,
    ),
    "counts in a layer, of the query alone": Advice(
        "query.layers['counts'] = query.X; query.X = None",
        "annotate(query, reference, layer='counts')",
        "Did not find .layers['counts'] of the reference, only []. Pass reference_layer= the one that holds its "
        "counts, or <code> for .X",
        ["annotate(query, reference, layer='counts', <code>)"],
        RIGHT,
    ),
    "counts in a layer by another name": Advice(
        "reference.layers['counts'] = reference.X",
        "sl.tl.cell_embeddings(reference, layer='raw', n_latent=8)",
        "Did not find .layers['raw'] of the data, only ['counts']. Pass layer= the one that holds its counts, or "
        "<code> for .X",
        [
            "sl.tl.cell_embeddings(reference, layer='counts', n_latent=8)",
            "sl.tl.cell_embeddings(reference, <code>, n_latent=8)",
        ],
        EMBEDDED,
    ),
    "scaled counts": Advice(
        BOTH_SCALED,
        "annotate(query, reference)",
        "The counts of the reference hold negative values (smallest -1); expected raw or binary counts. Pass "
        "reference_layer= the one that holds them if .X is scaled",
        ["annotate(query, reference, layer='counts', reference_layer='counts')"],
        RIGHT,
    ),
    "scaled counts to be matched": Advice(
        BOTH_SCALED,
        "sl.pp.match_peaks(query, reference)",
        "Pass layer= the one that holds them if .X is scaled",
        ["matched = sl.pp.match_peaks(query, reference, layer='counts')"],
        "matched.X.min() == 0 and matched.X.max() >= 1",
    ),
    "NaN among dense counts": Advice(
        "query.X = query.X.toarray(); query.X[0, 0] = np.nan",
        "annotate(query, reference)",
        "The counts of the query hold NaN or infinite values; expected raw or binary counts. Pass layer= the one that "
        "holds them, or leave out the cells with such values",
        ["query = query[1:].copy(); <call>"],
        RIGHT,
    ),
    "one object as both": Advice(
        "",
        "annotate(reference, reference)",
        "Query and reference are one object, which would be written to. Pass a copy: <code>.",
        ["annotate(reference, <code>)"],
        "right(reference) > 0.6",
    ),
    "a chain without a reference": Advice(
        "",
        "annotate(adata, chain='hg19ToHg38.over.chain')",
        "chain='hg19ToHg38.over.chain' has no effect without reference=; expected it to be left out",
        ["annotate(adata)"],
        ONE_RIGHT,
    ),
    "a genome that is not read": Advice(
        "",
        "sl.tl.annotate(query, reference, method='lsi_knn', genome=fasta)",
        "method='lsi_knn', which reads neither sequence nor an embedding; expected it to be left out",
        ["sl.tl.annotate(query, reference, method='lsi_knn')"],
        RIGHT,
    ),
    "a frozen reference for a whole published system": Advice(
        WITH_DNA + "; sl.tl.embed_peaks(reference); sl.tl.cell_embeddings(reference, n_latent=16)",
        "sl.tl.annotate(query, reference, method='scllmda', frozen=True)",
        "found a frozen reference, or one without counts. Pass method='robust', or a reference with counts and "
        "frozen=False, or <code>.",
        [
            "sl.tl.annotate(query, reference, method='robust', frozen=True)",
            "sl.tl.annotate(query, reference, method='scllmda', frozen=True, <code>)",
        ],
        "'scllmda' in query.obs",
    ),
    "a panel that there is no truth for": Advice(
        "annotate(query, reference)",
        "sl.pl.transfer_umap(query, panels='true labels', return_fig=True)",
        "There is nothing to show in the panel 'true labels'. Pass truth= a column with known labels of query cells",
        ["figure = sl.pl.transfer_umap(query, panels='true labels', truth='cell_type', return_fig=True)"],
        "len(figure.axes) == 1",
    ),
    "a frozen reference for a method of its own space": Advice(
        "",
        "sl.tl.annotate(query, reference, method='lsi_lr', frozen=True)",
        "Pass method='robust', or a reference with counts and <code>.",
        [
            "sl.tl.cell_embeddings(reference, n_latent=8); "
            "sl.tl.annotate(query, reference, method='robust', frozen=True)",
            "sl.tl.annotate(query, reference, method='lsi_lr', <code>)",
        ],
        RIGHT,
    ),
    "prediction sets by a method that holds out no cells": Advice(
        "",
        "annotate(query, reference, method='lsi_lr', set_coverage=0.9)",
        "there are no prediction sets without. Pass method='robust', or leave set_coverage= out",
        [
            "annotate(query, reference, method='robust', set_coverage=0.9); assert 'scllmda_set' in query.obsm",
            "sl.tl.annotate(query, reference, method='lsi_lr')",
        ],
        RIGHT,
    ),
    "a method by another name": Advice(
        "",
        "sl.tl.annotate(query, reference, method='lsi_nn')",
        "Unknown method 'lsi_nn'; expected one of <…>. Did you mean '<code>'?",
        ["assert '<code>' in sl.get.methods().index; sl.tl.annotate(query, reference, method='<code>')"],
        RIGHT,
    ),
    "a constant by another name": Advice(
        "",
        "sl.tl.annotate(query, reference, method='lsi_knn', recipe={'k': 5})",
        "method='lsi_knn' has no ['k'] in its recipe; it has ['n_components', <code>]",
        ["sl.tl.annotate(query, reference, method='lsi_knn', recipe={'n_neighbors': 5})"],
        RIGHT,
    ),
    "an alignment by another name": Advice(
        "small = {'n_epochs': 2}",
        "sl.tl.annotate(query, reference, method='seqalignatac', recipe={'alignment': 'gan', **small})",
        "Unknown alignment 'gan'; expected one of <code>.",
        [
            "for name in <code>: sl.tl.annotate(query, reference, method='seqalignatac', "
            "recipe={'alignment': name, **small})"
        ],
        "'scllmda' in query.obs",
    ),
    "labels in another column": Advice(
        "reference.obs['mine'] = reference.obs['cell_type']; reference.obs['cell_type'] = 'unknown'",
        "annotate(query, reference)",
        "No cell is labeled: all 150 values of reference.obs['cell_type'] are missing or 'unknown'. Expected at least "
        "two cell types; pass labels_key= the column that holds them",
        ["annotate(query, reference, labels_key='mine')"],
        RIGHT,
    ),
    "a single label": Advice(
        "reference.obs['mine'] = reference.obs['cell_type']; reference.obs['cell_type'] = 'B'",
        "annotate(query, reference)",
        "The only label of reference.obs['cell_type'] is 'B'; expected at least two cell types",
        ["annotate(query, reference, labels_key='mine')"],
        RIGHT,
    ),
    "no cell to annotate": Advice(
        "adata.obs['cell_type'] = adata.obs['truth']; of_query = adata.obs['platform'] == 'query'",
        "annotate(adata)",
        "There is no cell to annotate: all 250 have a label in .obs['cell_type']. Set the label of query cells to "
        "<code> or missing, or call sl.tl.annotate(query, reference)",
        [
            "adata.obs.loc[of_query, 'cell_type'] = <code>; <call>",
            "adata.obs.loc[of_query, 'cell_type'] = None; <call>",
            "known, adata = adata[~of_query].copy(), adata[of_query].copy(); annotate(adata, known)",
        ],
        ONE_RIGHT,
    ),
    "a label that files cannot hold": Advice(
        "reference.obs['cell_type'] = reference.obs['cell_type'].astype(object); "
        "reference.obs.iloc[:5, reference.obs.columns.get_loc('cell_type')] = ''",
        "annotate(query, reference)",
        "Files cannot hold the label '' of .obs['cell_type'] (5 cells). Rename it, or pass <code> if it marks cells "
        "without a label",
        [
            "reference.obs['cell_type'] = reference.obs['cell_type'].replace('', 'other'); <call>",
            "annotate(query, reference, <code>)",
        ],
        RIGHT,
    ),
    "a label that is the name of the index": Advice(
        "query.obs_names.name = 'B'; adata = query",
        "annotate(adata, reference)",
        "The label 'B' of .obs['cell_type'] is the name of .obs_names too, which files cannot tell apart. Set <code>.",
        ["<code>; <call>"],
        RIGHT,
    ),
    "labels that files cannot tell apart": Advice(
        "labels = reference.obs['cell_type'].cat; "
        "reference.obs['cell_type'] = labels.rename_categories({'B': 'a/b', 'CD4 T': 'a\u2215b'})",
        "annotate(query, reference)",
        "Files cannot tell the labels 'a/b' and 'a\u2215b' of .obs['cell_type'] apart: they hold a '/' as U+2215, the "
        "division slash. Rename one",
        ["reference.obs['cell_type'] = reference.obs['cell_type'].cat.rename_categories({'a\u2215b': 'T'}); <call>"],
        "{'a/b', 'T'} <= set(query.obs['scllmda_raw'])",
    ),
    "levels in the wrong order": Advice(
        "reference.obs['coarse'] = reference.obs['cell_type'].isin(['B', 'Plasma'])",
        "annotate(query, reference, labels_key=['cell_type', 'coarse'])",
        "expected one label. labels_key= lists columns from coarse to fine",
        ["annotate(query, reference, labels_key=['coarse', 'cell_type'])"],
        RIGHT,
    ),
    "no column of labels": Advice(
        "",
        "annotate(query, reference, labels_key=[])",
        "Found labels_key=[]; expected a column with cell types, or several from coarse to fine",
        ["annotate(query, reference, labels_key=['cell_type'])"],
        RIGHT,
    ),
    "an unfitted reference": Advice(
        "",
        "sl.tl.annotate(query, reference, frozen=True)",
        "The reference is not fitted: expected .varm['X_scllmda'], <…> Run <code> first; again, if it was",
        ["<code>; <call>"],
        RIGHT,
    ),
    "an unfitted reference without .X": Advice(
        "reference.layers['counts'] = reference.X; reference.X = None",
        "sl.tl.cell_embeddings(reference)",
        "The data has no counts (.X is None). Pass layer= the one that holds them",
        ["sl.tl.cell_embeddings(reference, layer='counts', n_latent=8); sl.tl.annotate(query, reference)"],
        RIGHT,
    ),
    "an unfitted reference to map to": Advice(
        "",
        "sl.tl.map_cells(query, reference)",
        "The reference is not fitted: <…> Run <code> first; again, if it was",
        ["<code>; <call>"],
        "query.obsm['X_scllmda'].any()",
    ),
    "a reference of a published system to map to": Advice(
        WITH_DNA + "; sl.tl.embed_peaks(reference); "
        "sl.tl.cell_embeddings(reference, model='scllmda', n_epochs=2, n_latent=8)",
        "sl.tl.map_cells(query, reference)",
        "The reference is not fitted: <…> Run <code> first; again, if it was",
        ["<code>; <call>"],
        "query.obsm['X_scllmda'].any()",
    ),
    "an unfitted reference to pass on": Advice(
        "",
        "sl.get.portable_reference(reference)",
        "The reference is not fitted: no .obsm['X_scllmda'], <…> Run <code> first",
        ["<code>; sl.tl.annotate(query, sl.get.portable_reference(reference))"],
        RIGHT,
    ),
    "a reference joined with others": Advice(
        "sl.tl.cell_embeddings(reference, n_latent=8); "
        "reference.var.loc[reference.var_names[:3], 'X_scllmda_rate'] = np.nan",
        "sl.tl.annotate(query, reference, frozen=True)",
        "holds NaN or infinite values, as after joining objects of other peaks; expected finite ones. Run <code> again",
        ["<code>; <call>"],
        RIGHT,
    ),
    "a reference whose slots do not fit": Advice(
        "sl.tl.cell_embeddings(reference, n_latent=8); "
        "reference.varm['X_scllmda'] = reference.varm['X_scllmda'][:, :1]",
        "sl.tl.map_cells(query, reference)",
        ".varm['X_scllmda'] has shape (800, 1); expected as many at least. Run <code> again",
        ["<code>; <call>"],
        "query.obsm['X_scllmda'].any()",
    ),
    "a query embedded by another encoder": Advice(
        WITH_DNA + "; sl.tl.embed_peaks(reference, sl.encoders.KmerEncoder(k=3)); sl.tl.embed_peaks(query)",
        "sl.tl.annotate(query, reference)",
        ".varm['X_kmer'] of the query has 514 dimensions, the reference's peak embeddings have 34; expected the same "
        "encoder. Run sl.tl.embed_peaks(query, …) with it",
        ["sl.tl.embed_peaks(query, sl.encoders.KmerEncoder(k=3)); <call>"],
        RIGHT,
    ),
    "peak embeddings of NaN": Advice(
        WITH_DNA + "; adata = reference; sl.tl.embed_peaks(adata); adata.varm['X_kmer'][:] = np.nan",
        "sl.tl.annotate(query, adata)",
        ".varm['X_kmer'] has shape (800, 514) and no peak with a known sequence and finite values, <…> Run "
        "<code> again",
        ["<code>; <call>"],
        RIGHT,
    ),
    "several peak embeddings": Advice(
        WITH_DNA + "; sl.tl.embed_peaks(reference); sl.tl.embed_peaks(reference, 'random')",
        "sl.tl.cell_embeddings(reference, n_latent=8)",
        "Found several peak embeddings: <code>. Pass use_varm= the one to use",
        ["sl.tl.cell_embeddings(reference, use_varm=<code>[0], n_latent=8)"],
        EMBEDDED,
    ),
    "no such peak embeddings": Advice(
        WITH_DNA + "; adata = reference",
        "sl.tl.cell_embeddings(adata, use_varm='X_kmer', n_latent=8)",
        "Did not find .varm['X_kmer'], only []. Run <code> first",
        ["<code>; <call>"],
        EMBEDDED,
    ),
    "a published system without peak embeddings": Advice(
        WITH_DNA + "; adata = reference",
        "sl.tl.cell_embeddings(adata, model='scllmda', n_epochs=2, n_latent=8)",
        "learns from peak embeddings and found none that tell peaks apart. Run <code> first",
        ["<code>; <call>"],
        EMBEDDED,
    ),
    "a model by another name": Advice(
        "",
        "sl.tl.cell_embeddings(reference, model='standard', n_latent=8)",
        "Unknown model 'standard'; expected one of <code>.",
        ["sl.tl.cell_embeddings(reference, model=<code>[0], n_latent=8)"],
        EMBEDDED,
    ),
    "batches of a union of peaks": Advice(
        "",
        "sl.tl.cell_embeddings(reference, batch_key='batch', domain_peaks='union', n_latent=8)",
        "needs base rates of peaks that all cells are seen through; pass <code>.",
        ["sl.tl.cell_embeddings(reference, batch_key='batch', <code>, n_latent=8)"],
        EMBEDDED,
    ),
    "no representation": Advice(
        "",
        "sl.tl.graph_da_annotate(adata, 'cell_type')",
        "Did not find .obsm['X_scllmda'], only []. Run <code> first",
        ["<code>; <call>"],
        "'scllmda' in adata.obs",
    ),
    "a representation of NaN": Advice(
        "adata.obsm['X_scllmda'] = np.full((250, 3), np.nan)",
        "sl.tl.graph_da_annotate(adata, 'cell_type')",
        ".obsm['X_scllmda'] holds NaN or infinite values; expected finite ones. Compute it again",
        ["sl.tl.cell_embeddings(adata, n_latent=8); <call>"],
        "'scllmda' in adata.obs",
    ),
    "no Dask client": Advice(
        "sl.tl.cell_embeddings(reference, n_latent=8)",
        "sl.tl.map_cells(query, reference, client='tcp://localhost:8786')",
        "expected a Dask client: client=dask.distributed.Client(address)",
        ["assert callable(pytest.importorskip('distributed').Client); sl.tl.map_cells(query, reference)"],
        "query.obsm['X_scllmda'].any()",
    ),
    "no annotation to show": Advice(
        "",
        "sl.get.annotation(query)",
        "Did not find an annotation 'scllmda' (.uns['scllmda'], .obs['scllmda_score']). Run <code> first",
        ["<code>(query, reference); table = <call>"],
        "len(table) == 100 and table['score'].between(0, 1).all()",
    ),
    "labels that rest on no peaks": Advice(
        "sl.tl.annotate(query, reference, method='lsi_lr')",
        "sl.get.evidence(query, 'B')",
        "What labels of method='lsi_lr' rest on cannot be told <…> Pass <code> to sl.tl.annotate",
        ["sl.tl.annotate(query, reference, <code>); table = <call>"],
        "abs(table['contribution'].sum() - table.attrs['log_odds']) < 1e-6",
    ),
    "labels that rest on peaks that are lost": Advice(
        "sl.tl.annotate(query, reference); whole, query = query, query[:, 9:].copy()",
        "sl.get.evidence(query, 'B')",
        "peaks that the labels 'scllmda' rest on; expected all of them. Pass the object as it was annotated, or run "
        "<code> on it again",
        ["query = whole; table = <call>", "<code>(query, reference); table = <call>"],
        "abs(table['contribution'].sum() - table.attrs['log_odds']) < 1e-6",
    ),
    "no annotation to plot": Advice(
        "",
        "sl.pl.confusion(query, truth='cell_type', return_fig=True)",
        "Did not find an annotation 'scllmda' <…> Run <code> first",
        ["<code>(query, reference); figure = <call>"],
        "len(figure.axes) == 2",
    ),
    "truth in a column of another name": Advice(
        "annotate(query, reference)",
        "sl.pl.confusion(query, truth='celltype', return_fig=True)",
        "Did you mean '<code>'? Pass truth= the column to use",
        ["figure = sl.pl.confusion(query, truth='<code>', return_fig=True)"],
        "len(figure.axes) == 2",
    ),
    "truth of no cell": Advice(
        "annotate(query, reference); query.obs['mine'] = None",
        "sl.pl.confusion(query, truth='mine', return_fig=True)",
        "No cell has a label in .obs['mine']; expected known labels to compare with",
        ["figure = sl.pl.confusion(query, truth='cell_type', return_fig=True)"],
        "len(figure.axes) == 2",
    ),
    "truth of reference cells alone": Advice(
        "annotate(adata)",
        "sl.pl.reliability(adata, truth='cell_type', return_fig=True)",
        "None of the 100 query cells has a label in .obs['cell_type'] and an open peak; expected some. Pass truth= a "
        "column with known labels of query cells",
        ["figure = sl.pl.reliability(adata, truth='truth', return_fig=True)"],
        "len(figure.axes) == 2",
    ),
    "labels of other cells": Advice(
        "a, b = ['B', 'T', None], ['B', 'T']",
        "sl.metrics.annotation_report(a, b)",
        "Found 3 known and 2 predicted labels; expected as many, in the same order",
        ["report = sl.metrics.annotation_report(a[:2], b)"],
        "report['accuracy'] == 1",
    ),
    "no known label": Advice(
        "",
        "sl.metrics.annotation_report([None, None], ['B', 'T'])",
        "No label is known (all missing); expected at least one cell with a label in truth",
        ["report = sl.metrics.annotation_report([None, 'T'], ['B', 'T'])"],
        "report['accuracy'] == 1",
    ),
}

PEAKS = {
    "another genome build": Advice(
        "query = moved(query); query.uns['genome'], reference.uns['genome'] = 'hg38', 'hg19'",
        "annotate(query, reference)",
        "expected the same. To lift the query over, pass the UCSC chain file that leads from the "
        "query's build to the reference's, as chain= (hg38ToHg19.over.chain.gz). If one of the names is wrong, "
        "correct it",
        [
            "query = sl.pp.match_peaks(query, reference, chain=chain); <call>",
            "annotate(query, reference, chain=chain)",
            "query, query.uns['genome'] = pair()[1], 'hg19'; <call>",
        ],
        RIGHT,
    ),
    "peaks that do not overlap": Advice(
        "query = moved(query, 50_000_000)",
        "annotate(query, reference)",
        "No query peak overlaps a reference peak by min_overlap=0.5; <…> If they are of different genome builds, pass "
        "the UCSC chain file",
        ["query = sl.pp.match_peaks(query, reference, chain=write_chain(folder, 50_000_000)); <call>"],
        RIGHT,
    ),
    "a chain the wrong way": Advice(
        "query = moved(query); wrong = write_chain(folder, -70_000_000)",
        "annotate(query, reference, chain=wrong)",
        "Check that the chain leads the right way",
        ["annotate(query, reference, chain=chain)"],
        RIGHT,
    ),
    "a chain that is broken": Advice(
        "query, text = moved(query), Path(chain).read_text(); (folder / 'b.chain').write_text(text.replace('+ 0', ''))",
        "annotate(query, reference, chain=folder / 'b.chain')",
        "holds a broken chain. <…> Download the file again",
        ["(folder / 'b.chain').write_text(text); <call>"],
        RIGHT,
    ),
    "a chain that was cut": Advice(
        "query, packed = moved(query), gzip.compress(Path(chain).read_bytes()); "
        "(folder / 'b.chain.gz').write_bytes(packed[:-20])",
        "annotate(query, reference, chain=folder / 'b.chain.gz')",
        "expected a UCSC chain file. Download it again",
        ["(folder / 'b.chain.gz').write_bytes(packed); <call>"],
        RIGHT,
    ),
    "names that say no position": Advice(
        "was = query.var; query.var = pd.DataFrame(index=[f'peak {i}' for i in range(800)])",
        "annotate(query, reference)",
        "the query's peaks are no intervals. <…> expected chr1:100-200, chr1-100-200 or chr1_100_200, or their "
        "positions in .var['chrom'], .var['start'] and .var['end']",
        [
            "query.var_names = was.index; <call>",
            "query.var_names = was.index.str.replace(':', '-'); <call>",
            "query.var_names = was.index.str.replace('[:-]', '_', regex=True); <call>",
            "for c in ('chrom', 'start', 'end'): query.var[c] = was[c].to_numpy()\n<call>",
        ],
        RIGHT,
    ),
    "names that say no position, to lift over": Advice(
        "query = moved(query); was = query.var; query.var = pd.DataFrame(index=[f'peak {i}' for i in range(800)])",
        "annotate(query, reference, chain=chain)",
        "Nothing can be lifted over: the query's peaks are no intervals",
        ["query.var_names = was.index; <call>"],
        RIGHT,
    ),
    "names of sequences that say no position": Advice(
        "was = query.var; query.var = pd.DataFrame(index=[f'peak {i}' for i in range(800)])",
        "sl.pp.peak_sequences(query, fasta)",
        "None of the 800 peaks is an interval by its name (first: 'peak 0'); expected chr1:100-200, <…> or positions "
        "in .var['chrom'], .var['start'] and .var['end']",
        [
            "query.var_names = was.index; <call>",
            "for c in ('chrom', 'start', 'end'): query.var[c] = was[c].to_numpy()\n<call>",
        ],
        "query.var['sequence'].tolist() == pair(sequence=True)[1].var['sequence'].tolist()",
    ),
}

SEQUENCES = {
    "no genome": Advice(
        "",
        "sl.pp.peak_sequences(query)",
        "Found neither genome= nor .uns['files']['genome']; expected the FASTA that the peaks were called on. Pass its "
        "path, or note it with <code>.",
        [
            "sl.pp.peak_sequences(query, fasta)",
            "muon = pytest.importorskip('muon'); adata, path = query, str(fasta); <code>; <call>",
        ],
        "query.var['sequence'].tolist() == pair(sequence=True)[1].var['sequence'].tolist()",
    ),
    "a genome of nothing": Advice(
        "",
        "sl.pp.peak_sequences(query, 5)",
        "expected the path of a FASTA, or an object with a .fasta",
        [
            "sl.pp.peak_sequences(query, fasta)",
            "from types import SimpleNamespace; sl.pp.peak_sequences(query, SimpleNamespace(fasta=fasta))",
        ],
        "'sequence' in query.var",
    ),
    "contigs that the FASTA lacks": Advice(
        "query.var_names = ['chrUn' + n[4:] if n.startswith('chr1:') else n for n in query.var_names]; "
        "del query.var['chrom']",
        "sl.pp.peak_sequences(query, fasta)",
        "contigs that the FASTA lacks (chrUn); it has <…>. Pass the FASTA of the genome that the peaks were called on, "
        "or <code> or missing='n' to go on without these peaks",
        [
            "Path(folder / 'o.fa').write_text(Path(fasta).read_text().replace('>chr1\\n', '>chrUn\\n')); "
            "sl.pp.peak_sequences(query, folder / 'o.fa')",
            "sl.pp.peak_sequences(query, fasta, <code>)",
            "sl.pp.peak_sequences(query, fasta, missing='n')",
        ],
        "query.var['sequence'].str.fullmatch('[ACGTN]+').all()",
    ),
    "no contig that the FASTA has": Advice(
        "(folder / 'other.fa').write_text('>chrZ\\nACGT\\n')",
        "sl.pp.peak_sequences(query, folder / 'other.fa', missing='drop')",
        "dropping them would leave no peak. Pass the FASTA of the genome that the peaks were called on",
        ["sl.pp.peak_sequences(query, fasta, missing='drop')"],
        "query.n_vars == 800",
    ),
    "peaks to drop from a file": Advice(
        "query.write_h5ad(folder / 'q.h5ad'); query = ad.read_h5ad(folder / 'q.h5ad', backed='r')",
        "sl.pp.peak_sequences(query, fasta, missing='drop')",
        "peaks can only be dropped from one in memory. Call .to_memory() before, or pass <code>.",
        ["query = query.to_memory(); <call>", "sl.pp.peak_sequences(query, fasta, <code>)"],
        "'sequence' in query.var",
    ),
    "peaks to drop from a view": Advice(
        "mdata = md.MuData({'atac': query})[:50]",
        "sl.pp.peak_sequences(mdata, fasta, missing='drop')",
        "peaks can only be dropped from a MuData of its own. Call .copy() before, or pass copy=True or <code>.",
        [
            "mdata = mdata.copy(); <call>",
            "mdata = sl.pp.peak_sequences(mdata, fasta, missing='drop', copy=True)",
            "sl.pp.peak_sequences(mdata, fasta, <code>)",
        ],
        "'sequence' in mdata['atac'].var and mdata.n_obs == 50",
    ),
    "peaks past the end": Advice(
        "ends = [f'chr1:{10**8 + i}-{10**8 + i + 9}' for i in range(20)]; "
        "query.var = pd.DataFrame(index=[*ends, *query.var_names[20:]])",
        "sl.pp.peak_sequences(query, fasta)",
        "20 of 800 peaks end after their contig <…> expected all inside. <…> If it is the right one, leave these peaks "
        "out",
        ["query = query[:, 20:].copy(); <call>"],
        "'sequence' in query.var and query.n_vars == 780",
    ),
    "blanks among the bases": Advice(
        "(folder / 'g.fa').write_text('>chr1\\nACGT ACGT\\nACGT ACGT\\n')",
        "sl.pp.peak_sequences(small, folder / 'g.fa')",
        "Found ' ' in chr1:0-18 <…> Pass the FASTA of a genome, not of proteins; take blanks out of one with <code>.",
        [
            "text = shell(\"<code> \" + str(folder / 'g.fa')); (folder / 'h.fa').write_text(text); "
            "sl.pp.peak_sequences(small, folder / 'h.fa')",
            "text = shell(\"<code> \" + str(folder / 'g.fa')); (folder / 'g.fa').write_text(text); <call>",
        ],
        "small.var['sequence'].tolist() == ['ACGT', 'CGTA']",
    ),
    "lines of several lengths": Advice(
        "(folder / 'g.fa').write_text('>chr1\\nACGTAC\\nGT\\nACGTACGT\\n')",
        "sl.pp.peak_sequences(small, folder / 'g.fa')",
        "Expected a FASTA with unique contig names and lines of one length per contig, without blank lines. Download "
        "it again, or write it anew that way",
        ["(folder / 'g.fa').write_text('>chr1\\nACGT\\nACGT\\nACGT\\nACGT\\n'); <call>"],
        "small.var['sequence'].tolist() == ['ACGT', 'CGTA']",
    ),
    "an index of other lines": Advice(
        "(folder / 'g.fa').write_text('>chr1\\nACGT\\nACGT\\nACGT\\nACGT\\n'); "
        "sl.pp.peak_sequences(small.copy(), folder / 'g.fa'); "
        "(folder / 'g.fa').write_text('>chr1\\nACGT\\nACG\\nTACGT\\nACGT\\n'); (folder / 'g.fa.fai').touch()",
        "sl.pp.peak_sequences(small, folder / 'g.fa')",
        "expected lines of one length per contig. Write the FASTA anew with such lines, delete the .fai file beside "
        "it, and call this again",
        [
            "(folder / 'g.fa').write_text('>chr1\\nACGT\\nACGT\\nACGT\\nACGT\\n'); (folder / 'g.fa.fai').unlink(); "
            "<call>",
        ],
        "small.var['sequence'].tolist() == ['ACGT', 'CGTA']",
    ),
    "a FASTA that was cut": Advice(
        "packed = gzip.compress(b'>chr1\\nACGTACGTACGTACGT\\n'); (folder / 'g.fa.gz').write_bytes(packed[:-9])",
        "sl.pp.peak_sequences(small, folder / 'g.fa.gz')",
        "Expected a complete gzip or bgzip file; download it again",
        ["(folder / 'g.fa.gz').write_bytes(packed); <call>"],
        "small.var['sequence'].tolist() == ['ACGT', 'CGTA']",
    ),
    "no FASTA": Advice(
        "",
        "sl.pp.peak_sequences(query, folder / 'nothing.fa')",
        "expected genome= the path of the genome that the peaks were called on",
        ["sl.pp.peak_sequences(query, genome=fasta)"],
        "'sequence' in query.var",
    ),
    "no sequences": Advice(
        "adata, genome = query, fasta",
        "sl.tl.embed_peaks(query)",
        "Did not find .var['sequence'], expected the sequence of every peak. Run <code> first, pass sequence_key= the "
        "column that holds them, or genome= the FASTA to read them from",
        [
            "<code>; <call>",
            "query.var['dna'] = pair(sequence=True)[1].var['sequence']; sl.tl.embed_peaks(query, sequence_key='dna')",
            "sl.tl.embed_peaks(query, genome=fasta)",
        ],
        "np.array_equal(query.varm['X_kmer'], of_kmers)",
    ),
    "sequences of some peaks": Advice(
        WITH_DNA + "; query.var.loc[query.var_names[:5], 'sequence'] = None; adata, genome = query, fasta",
        "sl.tl.embed_peaks(adata)",
        "5 missing, 0 not text; expected a DNA string for each. Run <code> again, or keep the peaks that have one: "
        "adata[:, adata.var['sequence'].notna()]",
        ["<code>; <call>", "adata = adata[:, adata.var['sequence'].notna()]; <call>"],
        "np.array_equal(adata.varm['X_kmer'], of_kmers[-adata.n_vars:])",
    ),
    "sequences of nothing but N": Advice(
        "query.var['sequence'] = 'N'",
        "sl.tl.embed_peaks(query)",
        "expected A, C, G and T. Read their sequences from the FASTA that they were called on: genome=",
        ["sl.tl.embed_peaks(query, genome=fasta)"],
        "np.array_equal(query.varm['X_kmer'], of_kmers)",
    ),
    "a window without a genome": Advice(
        WITH_DNA,
        "sl.tl.embed_peaks(query, window=256)",
        "Found window=256 without a genome. Pass genome= the FASTA to read windows from, or leave it out",
        ["sl.tl.embed_peaks(query, window=256, genome=fasta)", "sl.tl.embed_peaks(query)"],
        "query.varm['X_kmer'].shape == (800, 514)",
    ),
    "a cache that cannot be written": Advice(
        WITH_DNA + "; (folder / 'file').write_text('')",
        "sl.tl.embed_peaks(query, cache_dir=folder / 'file')",
        "expected a folder, there or to be made, that can be written to. Pass cache_dir= another one, or leave it out",
        ["sl.tl.embed_peaks(query, cache_dir=folder / 'new' / 'cache')", "sl.tl.embed_peaks(query)"],
        "np.array_equal(query.varm['X_kmer'], of_kmers)",
    ),
    "a genome in a folder that is not there": Advice(
        "path = folder / 'new' / 'genome.fa'",
        "sl.datasets.simulate(**SIZES, fasta=path)",
        "Did not find the folder <…> of fasta, expected one that exists. Create it first",
        ["path.parent.mkdir(); <call>"],
        "path.read_text().startswith('>chr1')",
    ),
}

ENCODERS = {
    "an encoder by another name": Advice(
        WITH_DNA,
        "sl.tl.embed_peaks(query, 'kmers')",
        "Did you mean '<code>'? sl.get.encoders() describes them",
        ["assert '<code>' in sl.get.encoders().index; sl.tl.embed_peaks(query, '<code>')"],
        "np.array_equal(query.varm['X_kmer'], of_kmers)",
    ),
    "no encoder": Advice(
        WITH_DNA,
        "sl.tl.embed_peaks(query, sl.encoders.KmerEncoder)",
        "expected a name or an object with name, revision, n_dims and encode(). sl.get.encoders() lists the names, "
        "sl.encoders.PeakEncoder describes the object",
        [
            "sl.tl.embed_peaks(query, sl.get.encoders().index[0])",
            "assert isinstance(sl.encoders.KmerEncoder(), sl.encoders.PeakEncoder)\n"
            "sl.tl.embed_peaks(query, sl.encoders.KmerEncoder())",
        ],
        "np.array_equal(query.varm['X_kmer'], of_kmers)",
    ),
    "an option that an encoder lacks": Advice(
        "",
        "sl.encoders.get('kmer', pooling='max')",
        "The encoder 'kmer' has no option 'pooling', found pooling='max'; expected 'mean'. Leave it out: <code>.",
        ["encoder = <code>", "encoder = sl.encoders.get('kmer', pooling='mean')"],
        "encoder.encode(['ACGTACGT']).shape == (1, 514)",
    ),
    "too long k-mers": Advice(
        "from scllmda.encoders import KmerEncoder",
        "KmerEncoder(k=9)",
        "k=9 found, expected 1 to 8. Try <code>.",
        ["encoder = <code>", "encoder = KmerEncoder(k=8)"],
        "encoder.encode(['ACGTACGTA']).any()",
    ),
    "random vectors of no length": Advice(
        "from scllmda.encoders import RandomEncoder",
        "RandomEncoder(n_dims=0)",
        "n_dims=0 found, expected a whole number from 1 to 1,048,576. Try <code>.",
        ["encoder = <code>", "encoder = RandomEncoder(n_dims=1)"],
        "encoder.encode(['ACGT']).any()",
    ),
    "a network of a wrong size": Advice(
        "from scllmda.encoders import CnnEncoder",
        "CnnEncoder(n_dims=0)",
        "n_dims=0 found, expected a whole number from <…>. Try <code>.",
        ["encoder = <code>"],
        "encoder.name == 'cnn' and not encoder.fitted",
    ),
    "an encoder that has not learnt": Advice(
        WITH_DNA + "; encoder = sl.encoders.CnnEncoder(n_epochs=1); adata = reference; "
        "sequences, X = list(adata.var['sequence']), adata.X",
        "encoder.encode(sequences)",
        "The encoder 'cnn' learns from counts and is not fitted. Call <…> first, with the DNA of each peak and cells × "
        "peaks, or <code>, which does",
        ["encoder.fit(sequences, X); vectors = <call>", "<code>; vectors = adata.varm['X_cnn']"],
        "vectors.shape == (800, 64) and np.isfinite(vectors).all()",
    ),
    "sequences of other peaks": Advice(
        WITH_DNA + "; encoder = sl.encoders.CnnEncoder(n_epochs=1); sequences = list(reference.var['sequence'])",
        "encoder.fit(sequences[:5], reference.X)",
        "Found 5 sequences for 800 peaks (columns of X); expected one for each",
        ["encoder.fit(sequences, reference.X)"],
        "encoder.fitted",
    ),
    "too few peaks to learn from": Advice(
        WITH_DNA + "; query = query[:, :50].copy()",
        "sl.tl.embed_peaks(query, 'cnn')",
        "expected at least 100 to train on. Use an encoder that needs no training: <code>.",
        ["sl.tl.embed_peaks(query, <code>)"],
        "np.array_equal(query.varm['X_kmer'], of_kmers[:50])",
    ),
    "too few sequences to learn from": Advice(
        "query.var['sequence'] = 'ACGTACGT'",
        "sl.tl.embed_peaks(query, 'cnn')",
        "expected hundreds of different sequences to train on. Use an encoder that needs no training: <code>.",
        ["sl.tl.embed_peaks(query, <code>)"],
        "query.varm['X_kmer'].shape == (800, 514)",
    ),
    "a device of an encoder that has its own": Advice(
        WITH_DNA,
        "sl.tl.embed_peaks(query, sl.encoders.CnnEncoder(n_epochs=1), device='cpu')",
        "device='cpu' is for encoders given by name; 'cnn' is an object: leave device out, or set it there",
        ["sl.tl.embed_peaks(query, sl.encoders.CnnEncoder(n_epochs=1, device='cpu'))"],
        "query.varm['X_cnn'].shape == (800, 64)",
    ),
    "an encoder of wrong lengths": Advice(
        WITH_DNA + "; encoder = sl.encoders.RandomEncoder(8); encoder.n_dims = 9\n"
        "encoder.encode = lambda sequences: np.ones((len(sequences), 8))",
        "sl.tl.embed_peaks(query, encoder)",
        "expected (800, 9). Mend its encode() or its n_dims",
        [
            "encoder.n_dims = 8; <call>",
            "encoder.encode = lambda sequences: np.ones((len(sequences), 9)); <call>",
        ],
        "query.varm['X_random'].shape == (800, encoder.n_dims)",
    ),
    "an encoder of NaN": Advice(
        WITH_DNA + "; encoder = sl.encoders.RandomEncoder(8)\n"
        "encoder.encode = lambda sequences: np.full((len(sequences), 8), np.nan)",
        "sl.tl.embed_peaks(query, encoder)",
        "NaN or infinite values for 800 of 800 sequences, expected finite ones. Mend its encode()",
        ["del encoder.encode; <call>"],
        "query.varm['X_random'].shape == (800, 8)",
    ),
}


SIMULATED = {
    "peaks": Advice(
        "",
        "sl.datasets.simulate(n_peaks=3, n_types=4)",
        "Found n_peaks=3, expected at least as many as n_types, 4. Call <code>(n_peaks=…) with such a value",
        ["found = sl.datasets.<code>(n_peaks=4, n_types=4)"],
        "found[0].n_vars == 4",
    ),
    "cells": Advice(
        "",
        "sl.datasets.simulate(n_query=3, n_peaks=100)",
        "Found n_query=3, expected a cell for each of the 6 types present. Call <code>(n_query=…) with such a value",
        ["found = sl.datasets.<code>(n_query=6, n_peaks=100)"],
        "found[1].n_obs == 6",
    ),
    "types": Advice(
        "",
        "sl.datasets.simulate(query_types=[7], n_peaks=100)",
        "Found query_types=[7], expected different indices between 0 and 5. Call <code>(query_types=…) with such a "
        "value",
        ["found = sl.datasets.<code>(query_types=[5], n_peaks=100)"],
        "found[1].obs['cell_type'].nunique() == 1",
    ),
    "shift": Advice(
        "",
        "sl.datasets.simulate(shift=4, n_peaks=100)",
        "Found shift=4, expected a number between 0 (no shift) and 3 (extreme). Call <code>(shift=…) with such a value",
        ["found = sl.datasets.<code>(shift=3, n_peaks=100)"],
        "found[1].n_vars == 100",
    ),
    "width": Advice(
        "",
        "sl.datasets.simulate(peak_width=100, n_peaks=100)",
        "Found peak_width=100, expected an integer, at least 128. Call <code>(peak_width=…) with such a value",
        ["found = sl.datasets.<code>(peak_width=128, n_peaks=100)"],
        "found[0].n_vars == 100",
    ),
}

COPIED = "for name in FILES: (folder / name).write_bytes(Path(tiny, name).read_bytes())\n"
CHECKPOINTS = {
    "pooling": Advice(
        "from scllmda.encoders import Dnabert2Encoder",
        "Dnabert2Encoder(tiny, pooling='median')",
        "pooling='median' found, expected one of <…>. The published one is <code>.",
        ["encoder = Dnabert2Encoder(tiny, <code>)"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "tokens of a batch": Advice(
        "from scllmda.encoders import Dnabert2Encoder",
        "Dnabert2Encoder(tiny, batch_tokens=0)",
        "batch_tokens=0 found, expected a positive integer, or None for the device's own",
        ["encoder = Dnabert2Encoder(tiny, batch_tokens=1)", "encoder = Dnabert2Encoder(tiny, batch_tokens=None)"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "whole numbers on a GPU": Advice(
        "from scllmda.encoders import Dnabert2Encoder",
        "Dnabert2Encoder(tiny, quantize=True, device='cuda')",
        "quantize=True is for the CPU, found device='cuda'. Pass <code>, or leave quantize out",
        [
            "encoder = Dnabert2Encoder(tiny, quantize=True, <code>)",
            "encoder = Dnabert2Encoder(tiny, <code>)",
        ],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "device": Advice(
        "from scllmda.encoders import Dnabert2Encoder",
        "Dnabert2Encoder(tiny, device='gpu')",
        "Cannot use device='gpu': <…> Pass <code> or 'auto'.",
        ["encoder = Dnabert2Encoder(tiny, <code>)", "encoder = Dnabert2Encoder(tiny, device='auto')"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "revision of a folder": Advice(
        "",
        "sl.encoders.get('dnabert2', source=tiny, revision='main')",
        "is a folder, which has no revision='main'. Leave revision out, or pass a hub id",
        ["encoder = sl.encoders.get('dnabert2', source=tiny)"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "weights that were cut": Advice(
        COPIED + "(folder / 'model.safetensors').write_bytes(Path(tiny, 'model.safetensors').read_bytes()[:-9])",
        "sl.encoders.get('dnabert2', source=str(folder))",
        "Could not read tensors from <…>. Download it again from its publisher, and pass source= the folder it is in",
        [COPIED + "encoder = <call>"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "weights of another size": Advice(
        COPIED + "config = Path(tiny, 'config.json').read_text()\n"
        "(folder / 'config.json').write_text(config.replace('\"num_hidden_layers\": ', '\"num_hidden_layers\": 1'))",
        "sl.encoders.get('dnabert2', source=str(folder))",
        "Pass source= the published checkpoint, or a folder whose config.json belongs to the weights",
        [COPIED + "encoder = <call>", "encoder = sl.encoders.get('dnabert2', source=tiny)"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "a tokenizer that was cut": Advice(
        COPIED + "(folder / 'tokenizer.json').write_text('{')",
        "sl.encoders.get('dnabert2', source=str(folder))",
        "tokenizer.json cannot be used <…> Pass source= a folder with the tokenizer.json of DNABERT-2",
        [COPIED + "encoder = <call>", "encoder = sl.encoders.get('dnabert2', source=tiny)"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "a folder that lacks files": Advice(
        "",
        "sl.encoders.get('dnabert2', source=str(folder))",
        "Found no config.json in <…>. Pass source= a folder with all files of the checkpoint",
        ["encoder = sl.encoders.get('dnabert2', source=tiny)"],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
    "a configuration of nothing": Advice(
        COPIED + "(folder / 'config.json').write_text('{}')",
        "sl.encoders.get('dnabert2', source=str(folder))",
        "config.json lacks <…>. Pass source= a folder with the published config.json",
        [
            COPIED + "encoder = <call>",
            "encoder = sl.encoders.get('dnabert2', source=tiny)",
        ],
        "encoder.encode(['ACGTACGT']).shape == (1, encoder.n_dims)",
    ),
}

OF_THREE_EPOCHS = "recipe={'cell_epochs': 3, 'n_epochs': 3}"
WARNED = {
    "a type of few cells": Advice(
        "types = reference.obs['cell_type'].astype(str); reference.obs['coarse'] = types.replace('Plasma', 'B'); "
        "reference = reference[(types != 'Plasma') | (types.groupby(types).cumcount() < 6)].copy()",
        "annotate(query, reference, method='robust', set_coverage=0.9)",
        "In every prediction set are ['Plasma']: too few of their cells were held out to exclude them. Pass a lower "
        "set_coverage=, or labels_key= a column of coarser types",
        [
            "annotate(query, reference, method='robust', set_coverage=0.8)",
            "annotate(query, reference, method='robust', set_coverage=0.9, labels_key='coarse')",
        ],
        "not query.obsm['scllmda_set'].all().any()",
    ),
    "a published system without DNA": Advice(
        "",
        "sl.tl.annotate(query, reference, method='scllmda', recipe={'n_epochs': 3})",
        "Of method='scllmda' the second stage alone runs, on the package's own embedding, as with <code>: its first "
        "stage reads the DNA under the peaks, and there is none. Pass genome= the FASTA",
        [
            f"sl.tl.annotate(query, reference, method='scllmda', genome=fasta, {OF_THREE_EPOCHS})",
            "sl.tl.annotate(query, reference, method='scllmda', <code>)",
        ],
        "'scllmda' in query.obs",
    ),
    "a column of the user": Advice(
        "query.obs['mine_score'] = 1.0",
        "annotate(query, reference, key_added='mine')",
        ".obs['mine_score'], which scllmda did not write, will be overwritten. Pass key_added= another name to keep "
        "what is there",
        ["query.obs['mine_score'] = 1.0; annotate(query, reference, key_added='other')"],
        "(query.obs['mine_score'] == 1).all() and 'other_score' in query.obs",
    ),
    "peak embeddings of the user": Advice(
        WITH_DNA + "; query.varm['X_kmer'] = np.ones((800, 2))",
        "sl.tl.embed_peaks(query)",
        ".varm['X_kmer'], which scllmda did not write, will be overwritten. Pass key_added= another name",
        ["query.varm['X_kmer'] = np.ones((800, 2)); sl.tl.embed_peaks(query, key_added='X_other')"],
        "np.array_equal(query.varm['X_other'], of_kmers) and query.varm['X_kmer'].shape == (800, 2)",
    ),
    "a decoder of the query": Advice(
        "for a in (query, reference): sl.tl.cell_embeddings(a, n_latent=8)\nown = query.uns['X_scllmda']",
        "sl.tl.map_cells(query.copy(), reference)",
        "The query's own decoder in .uns['X_scllmda'] will be overwritten: no cells can be mapped to it any more. Pass "
        "key_added= another name to keep it",
        ["sl.tl.map_cells(query, reference, key_added='X_mapped'); sl.tl.map_cells(reference, query, key_added='X_q')"],
        "query.obsm['X_mapped'].any() and reference.obsm['X_q'].any()",
    ),
    "counts stored by columns": Advice(
        "query.X = sp.csc_matrix(query.X); query.write_h5ad(folder / 'q.h5ad')\n"
        "query = ad.read_h5ad(folder / 'q.h5ad', backed='r')",
        "annotate(query, reference)",
        "The counts are stored by columns (CSC): taken to memory. Store them by rows to stream them",
        [
            "query = query.to_memory(); query.X = query.X.tocsr(); query.write_h5ad(folder / 'r.h5ad')\n"
            "query = ad.read_h5ad(folder / 'r.h5ad', backed='r'); <call>"
        ],
        RIGHT,
    ),
    "notes of two builds": Advice(
        "reference.uns['genome'], reference.var['genome'] = 'hg19', 'hg38'",
        "annotate(query, reference)",
        "The reference's notes of its genome build contradict each other ('hg19' in .uns['genome'], 'hg38' in "
        ".var['genome']), so that none is believed. Correct or delete the wrong one",
        ["reference.uns['genome'] = 'hg38'; <call>", "del reference.uns['genome']; <call>"],
        RIGHT,
    ),
    "notes of an unknown build": Advice(
        "query.uns['genome'], reference.uns['genome'] = 'mine', 'hg19'",
        "annotate(query, reference)",
        "If they are of one build, write the same name to .uns['genome'] of both",
        [
            "for a in (query, reference): a.uns['genome'] = 'hg19'\n<call>",
            "for a in (query, reference): a.uns['genome'] = 'mine'\n<call>",
        ],
        RIGHT,
    ),
    "names that say no position": Advice(
        "was = {'query': query.var, 'reference': reference.var}\n"
        "query.var = pd.DataFrame(index=[f'peak {i}' for i in range(800)])\n"
        "reference.var = pd.DataFrame(index=[f'peak {i + 400}' for i in range(800)])",
        "annotate(query, reference)",
        "Matched by name only (400 names are shared), not by position: the query's peaks and the reference's peaks are "
        "no intervals. <…> expected chr1:100-200, chr1-100-200 or chr1_100_200, or their positions in .var['chrom'], "
        ".var['start'] and .var['end']",
        [
            "query.var_names, reference.var_names = was['query'].index, was['reference'].index; <call>",
            "for a, w in ((query, was['query']), (reference, was['reference'])): "
            "a.var[['chrom', 'start', 'end']] = w[['chrom', 'start', 'end']].astype(object).to_numpy()\n<call>",
        ],
        RIGHT,
    ),
    "columns of something else": Advice(
        "query.var[['start', 'end']] += 5_000_000",
        "annotate(query, reference)",
        "The query: 800 of 800 peaks lie elsewhere by the columns .var['chrom'], .var['start'] and .var['end'] than by "
        "their names <…> if they are of something else, such as the nearest gene, drop or rename them",
        [
            "query.var = query.var.drop(columns=['chrom', 'start', 'end']); <call>",
            "query.var = query.var.rename(columns=lambda name: f'gene_{name}'); <call>",
        ],
        RIGHT,
    ),
    "names of something else": Advice(
        "query.var_names = moved(query).var_names",
        "annotate(query, reference, min_overlap=0)",
        "than by their names <…> the names are taken. If the columns are right, rename the peaks by them",
        ["query.var_names = [f'{c}:{s}-{e}' for c, s, e in query.var[['chrom', 'start', 'end']].to_numpy()]; <call>"],
        RIGHT,
    ),
    "peaks over the end": Advice(
        "(folder / 'g.fa').write_text('>chr1\\nACGTA\\n'); small.var_names = ['chr1:0-4', 'chr1:1-6']",
        "sl.pp.peak_sequences(small, folder / 'g.fa')",
        "1 of 2 peaks end after their contig <…> If the peaks were called on another genome build, pass the FASTA of "
        "that one",
        ["(folder / 'h.fa').write_text('>chr1\\nACGTACGT\\n'); sl.pp.peak_sequences(small, folder / 'h.fa')"],
        "small.var['sequence'].tolist() == ['ACGT', 'CGTAC']",
    ),
    "a masked genome": Advice(
        "(folder / 'g.fa').write_text('>chr1\\nNNNNNNNN\\n')",
        "sl.pp.peak_sequences(small, folder / 'g.fa')",
        "2 of 2 sequences are nothing but N. Check that the peaks were called on the genome build of <…>, and that the "
        "FASTA is not masked",
        ["(folder / 'h.fa').write_text('>chr1\\nACGTACGT\\n'); sl.pp.peak_sequences(small, folder / 'h.fa')"],
        "small.var['sequence'].tolist() == ['ACGT', 'CGTA']",
    ),
    "sequences of which none was used": Advice(
        WITH_DNA + "\nfor a in (query, reference): a.varm['X_kmer'] = np.ones((800, 2))",
        "sl.tl.annotate(query, reference)",
        "Embed the peaks of both objects by an encoder that does: <code>.",
        ["for adata in (query, reference): <code>\n<call>"],
        "query.uns['scllmda']['coverage']['sequence'] != 'none' and right(query) > 0.6",
    ),
}

POINTED_AT = {
    "too few cells to reject": Advice(
        "adata = query[:3].copy()",
        "sl.tl.annotate(adata, reference)",
        "No cell was rejected as novel: among 3 query cells <…> Look at novelty yourself: <code>.",
        ["novelty = <code>"],
        "len(novelty) == 3 and novelty.between(0, 1).all()",
    ),
    "a large shift": Advice(
        "adata = query",
        "sl.tl.annotate(adata, reference, novelty_recipe={'large_shift': 0.01})",
        "times as far from the reference's cells <…> Look at <code> and at marker peaks",
        ["<code>"],
        "adata.uns['scllmda']['umap']['coordinates'].shape == (250, 2)",
    ),
}


def right(adata: AnnData) -> float:
    """Return the share of query cells whose label before rejection is the true one."""
    truth = "truth" if "truth" in adata.obs else "cell_type"
    query = (adata.obs["platform"] == adata.obs["platform"].iloc[-1]).to_numpy()
    return float((adata.obs["scllmda_raw"].astype(str) == adata.obs[truth].astype(str))[query].mean())


def moved(adata: AnnData, by: int = 1000) -> AnnData:
    """Return an object whose peaks lie further along their contigs, as on another build."""
    adata = adata.copy()
    adata.var[["start", "end"]] += by
    adata.var_names = [
        f"{chrom}:{start}-{end}" for chrom, start, end in adata.var[["chrom", "start", "end"]].to_numpy()
    ]
    return adata


def write_chain(folder: Path, by: int) -> Path:
    """Write the chain file that leads from peaks that were moved to where they were."""
    chains = []
    for i, (chrom, peaks) in enumerate(pair()[0].var.groupby("chrom", observed=True)):
        n, first, to = int(peaks["end"].max()) + 5000, max(by, 0), max(-by, 0)
        chains.append(f"chain 9 {chrom} {n + first} + {first} {n + first} {chrom} {n + to} + {to} {n + to} {i}\n{n}\n")
    path = folder / f"by{by}.over.chain"
    path.write_text("\n".join(chains))
    return path


def shell(command: str) -> str:
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the genome of the simulated pair."""
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    sl.datasets.simulate(**SIZES, fasta=path)
    return path


@pytest.fixture(scope="module")
def joined() -> AnnData:
    """Return reference and query in one object; not to be changed."""
    return together()


@pytest.fixture(scope="module")
def of_kmers() -> np.ndarray:
    """Return the k-mers of the query's peaks."""
    return sl.encoders.KmerEncoder().encode(pair(sequence=True)[1].var["sequence"].tolist())


@pytest.fixture
def names(fasta: Path, of_kmers: np.ndarray, joined: AnnData, tmp_path: Path) -> Any:
    """Return what the user has at hand; ``annotate`` is a quick one, for where the method does not matter."""
    reference, query = pair()
    plt.switch_backend("agg")
    quickly = partial(sl.tl.annotate, method="lsi_knn")
    modules = {"sl": sl, "np": np, "pd": pd, "sp": sp, "ad": ad, "md": md, "plt": plt, "pytest": pytest, "gzip": gzip}
    helpers = {f.__name__: f for f in (pair, right, moved, write_chain, shell)} | {"annotate": quickly}
    small = AnnData(np.ones((1, 2), np.float32), var=pd.DataFrame(index=["chr1:0-4", "chr1:1-5"]))
    objects = {"reference": reference, "query": query, "adata": joined.copy(), "small": small, "SIZES": SIZES}
    files = {
        "fasta": fasta,
        "folder": tmp_path,
        "chain": write_chain(tmp_path, 1000),
        "of_kmers": of_kmers,
        "Path": Path,
    }
    with columns_of_their_own():
        yield {**modules, **helpers, **objects, **files}
    plt.close("all")


MOTIFS = {
    "motifs without sequences": Advice(
        "adata = reference; motifs = {'box': np.eye(4)[:, [2, 0, 3, 0, 0, 1]]}",
        "sl.tl.motif_activity(adata, motifs=motifs)",
        "Run <code>(adata, genome) first, with the FASTA that the peaks were called on, or pass genome= its path",
        ["<code>(adata, fasta); <call>", "sl.tl.motif_activity(adata, motifs=motifs, genome=fasta)"],
        "adata.obsm['motif_activity'].shape == (150, 1)",
    ),
    "motifs before marker peaks": Advice(
        "adata = pair(sequence=True)[0]; motifs = {'box': np.eye(4)[:, [2, 0, 3, 0, 0, 1]]}",
        "sl.tl.marker_motifs(adata, 'cell_type', motifs=motifs, fdr=1)",
        "Run <code> first, pass markers_key= its key_added, or peaks= of your own by label",
        [
            "<code>; <call>",
            "sl.tl.marker_peaks(adata, 'cell_type', key_added='m')\n"
            "sl.tl.marker_motifs(adata, 'cell_type', motifs=motifs, fdr=1, markers_key='m')",
            "sl.tl.marker_motifs(adata, 'cell_type', motifs=motifs, peaks={'mine': adata.var_names[:50]})",
        ],
        "np.isfinite(adata.uns['cell_type_marker_motifs']['fdr']).any()",
    ),
    "motifs of another species": Advice(
        "adata = pair(sequence=True)[0]; adata.uns['genome'] = 'dm6'; mine = {'mine': adata.var_names[:50]}",
        "sl.tl.marker_motifs(adata, peaks=mine, motifs='JASPAR2014', tax_group='vertebrates')",
        "The motifs are of vertebrates and the peaks of 'dm6' (.uns['genome']), of insects; expected motifs of one "
        "group with the genome. Pass motifs= or <code>, or correct .uns['genome']",
        ["sl.tl.marker_motifs(adata, peaks=mine, motifs='JASPAR2014', <code>)"],
        "len(adata.uns['scllmda_marker_motifs']['motifs']) > 100",
    ),
}


ON_SIMULATION = {f"simulated {what}": advice for what, advice in SIMULATED.items()}
REFUSED = CALLS | PEAKS | SEQUENCES | ENCODERS | MOTIFS | ON_SIMULATION


@each(REFUSED)
def test_after_an_error(name: str, way: int, names: dict[str, Any], warnings: list[str]) -> None:
    advice = REFUSED[name]
    exec(advice.given, names)
    with pytest.raises((ValueError, KeyError, TypeError, RuntimeError, OSError)) as error:
        exec(advice.call, names)
    message = str(error.value.args[-1])
    follow(advice, advice.done[way], code_in(message, advice.says), names)


@each(CHECKPOINTS)
def test_after_an_error_of_a_checkpoint(
    name: str, way: int, names: dict[str, Any], shared_golden: Path, warnings: list[str]
) -> None:
    advice = CHECKPOINTS[name]
    names["tiny"] = str(shared_golden / "dnabert2_tiny")
    names["FILES"] = ["config.json", "tokenizer.json", "model.safetensors"]
    exec(advice.given, names)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        exec(advice.call, names)
    follow(advice, advice.done[way], code_in(str(error.value), advice.says), names)


@each(WARNED)
def test_after_a_warning(name: str, way: int, names: dict[str, Any], warnings: list[str]) -> None:
    follow_warning(WARNED[name], way, names, warnings)


@each(POINTED_AT)
def test_what_a_warning_points_at(name: str, way: int, names: dict[str, Any], warnings: list[str]) -> None:
    advice = POINTED_AT[name]
    exec(advice.given, names)
    exec(advice.call, names)
    (message,) = warnings
    follow(advice, advice.done[way], code_in(message, advice.says), names)


def test_without_harmony(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, query = pair()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "harmonypy", None)
        with pytest.raises(ImportError) as error:
            sl.tl.annotate(query, reference, method="harmony_lr")
    extra = code_in(str(error.value), "Install it: pip install 'scllmda[<code>]' (or harmonypy>=2)")
    about = metadata("scllmda")
    assert extra in (about.get_all("Provides-Extra") or [])
    assert [line for line in about.get_all("Requires-Dist") or [] if "harmonypy>=2" in line and f"'{extra}'" in line]
