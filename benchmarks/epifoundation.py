"""EpiFoundation's experiments: `python benchmarks/epifoundation.py FOLDER`, by hand, an hour.

With the `small` preset, beside what is simpler. Rows go to `benchmarks/epifoundation.csv`, of which `annotation.py
--report` makes tables; rows that are there are not computed again, unless `--again`.

expression
    SNARE-seq of mouse cortex, libraries 09A to 09D to 09E to 09H: log(1 + counts per 10,000) of genes of single cells
    by `tl.predict_expression` (ridge with and without depth; the transformer from scratch, and from a pre-training on
    the same four libraries), by `tl.gene_activity` of each cell alone and of its 30 nearest cells together, and by the
    mean of each cell's true type in 09A to 09D, which is what labels alone could say.
simulated expression
    Expression of eight simulated types, some 400 counts per cell of 400 genes; the same methods, two draws. Each gene
    spans five peaks, and half of the variance of its logarithm between types is that of their openness.
share of labels
    The same with labels of 5 % of the reference's cells, five draws: accuracy from scratch, from a pre-training on the
    reference's open peaks and expression, and of robust.
batch correction
    Libraries of the cortex, and the two donors of bone marrow (coarse types), in the metrics of the paper: the states
    of [CLS] after pre-training with the library as batch (cortex) or after training on the labels of one donor (marrow,
    whose expression is not known), the package's embedding, the same mixed by Harmony, and, where scvi-tools is
    installed, SCANVI from the labels of one side (libraries 09A to 09D, one donor).
published size
    Seconds, and peak memory beyond the interpreter's, of a training step of two cells of 12,000 open peaks, of 200,000.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from _annotation_methods import LABELS
from _experiments import SEVERAL, Experiment, Rows, run_experiments, training_steps
from _real_data import CORTEX, GRANJA, Split
from cell_embeddings import measured
from sklearn.neighbors import NearestNeighbors

import scllmda as sl

SMALL = {"preset": "small"}
RNA, GENES = "chen2019_cortex_snareseq_mm10_rna.h5ad", "genes/gencode_genes_mm10.bed.gz"
N_NEAREST = 30
SCANVI_EPOCHS = 50
SIMULATED: dict[str, Any] = {"n_reference": 1500, "n_query": 500, "n_peaks": 3000, "n_types": 8, "depth": 0.05}
N_GENES, MEDIAN_COUNTS, PEAKS_PER_GENE = 400, 400, 5
SCORES = [
    *("accuracy", "macro_f1", "spearman", "pearson", "mse", "n_genes"),
    *("nmi", "label_asw", "isolated_label_asw", "isolated_label_f1", "clisi", "batch_asw", "graph_connectivity"),
    *("loss", "seconds", "mb"),
]

mudata.set_options(pull_on_update=False)


@cache
def cortex(folder: Path) -> mudata.MuData:
    atac, rna = ad.read_h5ad(folder / CORTEX.file), ad.read_h5ad(folder / RNA)
    atac.obs["side"] = CORTEX.sides(atac.obs["batch"]).to_numpy()
    return mudata.MuData({"atac": atac, "rna": rna[atac.obs_names].copy()})


def of_side(data: mudata.MuData, side: str) -> mudata.MuData:
    cells = (data["atac"].obs["side"] == side).to_numpy()
    return mudata.MuData({mod: data[mod][cells].copy() for mod in ("atac", "rna")})


@cache
def simulated(seed: int) -> tuple[mudata.MuData, ad.AnnData, ad.AnnData, pd.DataFrame]:
    """Return a reference with expression, a query without, the query's expression, and the genes."""
    pair = sl.datasets.simulate(**SIMULATED, rng=seed)
    rng = np.random.default_rng(seed)
    genes, openness = simulated_genes(pair[0], rng)
    programs = np.exp(1.4 * (np.sqrt(0.5) * openness + np.sqrt(0.5) * rng.normal(size=openness.shape)))
    programs *= rng.gamma(0.3, 1.0, len(genes))
    types = np.unique(pair[0].obs[LABELS])
    rna = []
    for adata in pair:
        del adata.var["sequence"]
        rates = programs[np.searchsorted(types, adata.obs[LABELS].astype(str))]
        counts = MEDIAN_COUNTS * rng.lognormal(0, 0.4, adata.n_obs)[:, None] * rates / rates.sum(axis=1, keepdims=True)
        X = sp.csr_matrix(rng.poisson(counts).astype(np.float32))
        rna.append(ad.AnnData(X, obs=adata.obs[[LABELS]].copy(), var=pd.DataFrame(index=genes["name"].to_numpy())))
    return mudata.MuData({"atac": pair[0], "rna": rna[0]}), pair[1], rna[1], genes


def simulated_genes(adata: ad.AnnData, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Return genes that span peaks, and the log openness of their peaks in each type, standardized for each gene."""
    chrom = adata.var["chrom"].to_numpy(str)
    groups = np.arange(adata.n_vars).reshape(-1, PEAKS_PER_GENE)
    groups = groups[chrom[groups[:, 0]] == chrom[groups[:, -1]]]
    spans = groups[np.sort(rng.permutation(len(groups))[:N_GENES])]
    genes = pd.DataFrame(
        {
            "chrom": chrom[spans[:, 0]],
            "start": adata.var["start"].to_numpy()[spans[:, 0]],
            "end": adata.var["end"].to_numpy()[spans[:, -1]],
            "strand": rng.choice(["+", "-"], len(spans)),
            "name": [f"gene {i}" for i in range(len(spans))],
        }
    )
    types = adata.obs[LABELS].astype(str).to_numpy()
    per_type = np.stack([adata.X[types == t].mean(axis=0).A1 for t in np.unique(types)])
    openness = np.log(per_type[:, spans].mean(axis=2) + 1e-3)
    return genes, (openness - openness.mean(axis=0)) / openness.std(axis=0)


def logged(rna: ad.AnnData) -> ad.AnnData:
    rna = rna.copy()
    sc.pp.normalize_total(rna, target_sum=1e4)
    sc.pp.log1p(rna)
    return rna


def timed(compute: Callable[[], Any]) -> tuple[Any, float]:
    start = perf_counter()
    return compute(), perf_counter() - start


def expression_rows(
    reference: mudata.MuData, query: ad.AnnData, observed: ad.AnnData, genes: Path | pd.DataFrame, seed: int
) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Yield ways to foretell expression, each with what computes its scores."""
    observed, known = logged(observed), logged(reference["rna"])

    def scored(predict: Callable[[], Any]) -> dict[str, float]:
        predicted, seconds = timed(predict)
        found = sl.metrics.expression_report(observed, predicted)
        return {**{name: found[name] for name in ("spearman", "pearson", "mse", "n_genes")}, "seconds": seconds}

    def by(method: str, recipe: dict[str, Any]) -> pd.DataFrame:
        done = sl.tl.predict_expression(query, reference, method=method, recipe=recipe, rng=seed, copy=True)
        return pd.DataFrame(done.obsm["expression"], done.obs_names, done.uns["expression"]["genes"])

    def from_weights() -> pd.DataFrame:
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch, "weights")
            sl.tl.pretrain(reference, "epifoundation", output=weights, recipe=SMALL, rng=seed)
            return by("epifoundation", SMALL | {"weights": str(weights)})

    def of_types() -> ad.AnnData:
        types = reference["atac"].obs[LABELS].astype(str).to_numpy()
        means = pd.DataFrame({t: np.asarray(known[types == t].X.mean(axis=0)).ravel() for t in np.unique(types)})
        truth = query.obs[LABELS].astype(str).to_numpy()
        return ad.AnnData(means[truth].to_numpy().T, obs=observed.obs[[]], var=known.var[[]])

    def activity(n_nearest: int) -> ad.AnnData:
        counts = query.copy()
        if n_nearest:
            sl.tl.cell_embeddings(counts, rng=seed)
            near = NearestNeighbors(n_neighbors=n_nearest + 1).fit(counts.obsm["X_scllmda"])
            counts.X = sp.csr_matrix(near.kneighbors_graph() @ counts.X)
        return logged(sl.tl.gene_activity(counts, genes))

    yield "ridge", partial(scored, partial(by, "ridge", {}))
    yield "ridge, without depth", partial(scored, partial(by, "ridge", {"depth": False}))
    yield "epifoundation", partial(scored, partial(by, "epifoundation", SMALL))
    yield "epifoundation, pre-trained", partial(scored, from_weights)
    yield "gene activity", partial(scored, partial(activity, 0))
    yield f"gene activity of {N_NEAREST} nearest cells", partial(scored, partial(activity, N_NEAREST))
    yield "true type means", partial(scored, of_types)


def expression(folder: Path, seed: int) -> Rows:
    reference, query = (of_side(cortex(folder), side) for side in CORTEX.batches)
    for method, compute in expression_rows(reference, query["atac"], query["rna"], folder / GENES, seed):
        yield {"task": "cortex A–D→E–H", "method": method, "setting": ""}, compute


def simulated_expression(folder: Path, seed: int) -> Rows:
    reference, query, observed, genes = simulated(seed)
    for method, compute in expression_rows(reference, query, observed, genes, seed):
        yield {"task": "simulated", "method": method, "setting": ""}, compute


def share_of_labels(folder: Path, seed: int) -> Rows:
    def run() -> dict[str, dict[str, float]]:
        data, query, _, _ = simulated(seed)
        rng = np.random.default_rng(seed)
        types = data["atac"].obs[LABELS].astype(str).to_numpy()
        kept = [rng.permutation(np.flatnonzero(types == t)) for t in np.unique(types)]
        cells = np.sort(np.concatenate([of_type[: max(3, round(0.05 * len(of_type)))] for of_type in kept]))
        reference = data["atac"][cells].copy()

        def scored(method: str, recipe: dict[str, Any] | None) -> dict[str, float]:
            done, seconds = timed(
                lambda: sl.tl.annotate(query, reference, method=method, recipe=recipe, rng=seed, copy=True)
            )
            raw = done.obs["scllmda_raw"].to_numpy(str)
            report = sl.metrics.annotation_report(query.obs[LABELS].to_numpy(str), raw)
            return {"accuracy": report["accuracy"], "macro_f1": report["macro_f1"], "seconds": seconds}

        found = {"from scratch": scored("epifoundation", SMALL)}
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch, "weights")
            losses = sl.tl.pretrain(data, "epifoundation", output=weights, recipe=SMALL, rng=seed)
            scores = scored("epifoundation", SMALL | {"weights": str(weights)})
        found["pre-trained"] = scores | {"loss": losses[-1]}
        found["robust"] = scored("robust", None)
        return found

    yield {"task": "5 % of the labels", "method": "epifoundation", "setting": SEVERAL}, run


def batch_correction(folder: Path, seed: int) -> Rows:
    def by_weights() -> ad.AnnData:
        data = cortex(folder)
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch, "weights")
            sl.tl.pretrain(data, "epifoundation", output=weights, recipe=SMALL, batch_key="batch", rng=seed)
            return sl.tl.cell_embeddings(data["atac"], model="epifoundation", weights=weights, recipe=SMALL, copy=True)

    def by_labels() -> ad.AnnData:
        adata = marrow(folder)
        some = with_labels_of_one_side(adata, GRANJA)
        sl.tl.annotate(some, labels_key=LABELS, method="epifoundation", recipe=SMALL, rng=seed)
        adata.obsm["X_scllmda"] = some.obsm["X_scllmda_da"]
        return adata

    def ours(load: Callable[[], ad.AnnData], *, harmony: bool) -> ad.AnnData:
        import harmonypy

        adata = sl.tl.cell_embeddings(load(), rng=seed, copy=True)
        if harmony:
            run = harmonypy.run_harmony(adata.obsm["X_scllmda"], adata.obs, "batch", random_state=seed, verbose=False)
            mixed = np.asarray(run.Z_corr)
            adata.obsm["X_scllmda"] = mixed if len(mixed) == adata.n_obs else mixed.T
        return adata

    def scanvi(load: Callable[[], ad.AnnData], split: Split) -> ad.AnnData:
        import scvi

        scvi.settings.seed = seed
        adata = load()
        some = with_labels_of_one_side(adata, split)
        scvi.model.SCVI.setup_anndata(some, batch_key="batch", labels_key=LABELS)
        settings: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False}
        unsupervised = scvi.model.SCVI(some, n_layers=2, gene_likelihood="poisson")
        unsupervised.train(max_epochs=SCANVI_EPOCHS, **settings)
        model = scvi.model.SCANVI.from_scvi_model(unsupervised, unlabeled_category="unknown")
        model.train(max_epochs=SCANVI_EPOCHS // 5, n_samples_per_label=100, **settings)
        adata.obsm["X_scllmda"] = model.get_latent_representation()
        return adata

    def scored(embed: Callable[[], ad.AnnData]) -> dict[str, float]:
        adata, seconds = timed(embed)
        found = sl.metrics.integration_report(adata, LABELS, "batch", rng=seed)
        return {name: found[name] for name in SCORES if name in found} | {"seconds": seconds}

    for task, load, epifoundation, split in (
        ("cortex, 8 libraries", lambda: cortex(folder)["atac"].copy(), by_weights, CORTEX),
        ("bone marrow, 2 donors", lambda: marrow(folder), by_labels, GRANJA),
    ):
        ways = {
            "our embedding": partial(ours, load, harmony=False),
            "our embedding, Harmony": partial(ours, load, harmony=True),
            "epifoundation": epifoundation,
        }
        if find_spec("scvi"):
            ways["SCANVI"] = partial(scanvi, load, split)
        for method, embed in ways.items():
            yield {"task": task, "method": method, "setting": ""}, partial(scored, embed)


def marrow(folder: Path) -> ad.AnnData:
    adata = ad.read_h5ad(folder / GRANJA.file)
    adata.obs[LABELS] = adata.obs[GRANJA.labels[1]].astype(str)
    return adata


def with_labels_of_one_side(adata: ad.AnnData, split: Split) -> ad.AnnData:
    some = adata.copy()
    is_first = (split.sides(adata.obs["batch"]) == next(iter(split.batches))).to_numpy()
    some.obs[LABELS] = pd.Categorical(adata.obs[LABELS].astype(str).where(is_first, "unknown"))
    return some


def published_size(folder: Path, seed: int) -> Rows:
    return training_steps("epifoundation", training_step, seed)


def training_step(
    seed: int, *, recompute: bool, n_cells: int = 2, n_open: int = 12_000, n_peaks: int = 200_000, n_genes: int = 20_000
) -> dict[str, float]:
    """Return what a first step of the pre-training on random values takes, with making the network."""
    import torch

    from scllmda.methods import make_recipe
    from scllmda.methods.epifoundation._network import AlignedGenes, PeakSetEncoder, Sizes

    torch.manual_seed(seed)
    recipe = make_recipe("epifoundation", {"recompute": recompute})
    sizes = Sizes.of(recipe)
    ids = torch.cat([torch.randperm(n_peaks)[:n_open] for _ in range(n_cells)])
    cells = torch.arange(n_cells).repeat_interleave(recipe.n_genes)
    at = torch.stack([cells, torch.randint(0, n_genes, (len(cells),))], dim=1)
    expressed, lengths = torch.randint(0, 2, (len(cells),)), torch.full((n_cells,), n_open)

    def step() -> None:
        contig = torch.randint(0, 24, (n_peaks,))
        encoder = PeakSetEncoder(contig, 24, sizes, dropout=recipe.dropout, recompute=recompute)
        network = AlignedGenes(encoder, n_genes, 2)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
        network(ids, lengths, torch.arange(n_cells) % 2, at, expressed).backward()
        optimizer.step()

    cost = measured(step)[1]
    return {"seconds": cost["seconds"], "mb": cost["added"]}


EXPERIMENTS: dict[str, Experiment] = {
    "expression": expression,
    "simulated expression": simulated_expression,
    "share of labels": share_of_labels,
    "batch correction": batch_correction,
    "published size": published_size,
}
DRAWN = {"share of labels": range(5), "simulated expression": range(2)}


if __name__ == "__main__":
    run_experiments(__file__, __doc__, EXPERIMENTS, SCORES, DRAWN)
