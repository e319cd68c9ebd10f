"""The methods of `annotation.py`, as they run in their own process: also where only the packages of `peers.txt` are."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _forks import serve
from cell_embeddings import PACKAGE, measured
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LABELS, DOMAIN, UNKNOWN = "cell_type", "domain", "Unknown"
COUNTS = "counts"
"""Layer with counts; `.X` says open or closed."""


@dataclass(frozen=True)
class Data:
    """What a method sees: the query comes without labels."""

    reference: ad.AnnData
    query: ad.AnnData
    seed: int
    epochs: int
    starts: str | None = None
    """File with the transcription starts of the reference's genome build, if it is known."""

    @property
    def labels(self) -> np.ndarray:
        return self.reference.obs[LABELS].to_numpy(str)

    def joint(self) -> ad.AnnData:
        """Return reference, then query cells, with `.obs["domain"]` and `.obs["cell_type"]`."""
        keys = ["reference", "query"]
        joint = ad.concat([self.reference, self.query], label=DOMAIN, keys=keys, index_unique="-")
        joint.obs[LABELS] = pd.Categorical([*self.labels, *[UNKNOWN] * self.query.n_obs])
        return joint


@dataclass(frozen=True)
class Prediction:
    labels: np.ndarray
    """(n_query,)"""
    proba: np.ndarray | None = None
    """(n_query, n_classes)"""
    classes: np.ndarray | None = None
    novelty: np.ndarray | None = None
    """(n_query,) the method's own score, if it has one."""
    rejected: np.ndarray | None = None
    """(n_query,) whether the method by default leaves a cell without label."""


@dataclass(frozen=True)
class Method:
    carry: Callable[[Data, np.ndarray | None], Prediction]
    """Carries labels over, by the embedding if there is one."""
    about: str
    kind: str = "published"
    """Or "baseline", or "ours", or "variant": a part of a published system on what is ours."""
    modules: tuple[str, ...] = ()
    """Imported before the clock starts. Methods that share them are forks of the same process."""
    embed: Callable[[Data], np.ndarray] | None = None
    """(n_reference + n_query, k), without labels. Methods that share it, and modules, share a process."""
    is_peer: bool = True
    is_seeded: bool = False
    """Whether another seed on the same data gives another result, but for rounding."""
    trains: bool = False
    """Whether the number of epochs limits it."""
    needs_sequence: bool = False
    """Whether it reads the DNA under the peaks, and has no row where there is none."""
    needs_starts: bool = False
    """Whether it reads where transcription starts, and has no row where that is not known."""


# Ours.


def ours(method: str, recipe: dict[str, Any] | None, data: Data, _: None, **given: Any) -> Prediction:
    import scllmda as sl

    query = data.query.copy()
    sl.tl.annotate(query, data.reference, labels_key=LABELS, method=method, recipe=recipe, rng=data.seed, **given)
    obs, key = query.obs, "scllmda"
    return Prediction(
        obs[f"{key}_raw"].to_numpy(str),
        query.obsm[f"{key}_proba"].to_numpy(),
        query.uns[key]["classes"].astype(str),
        obs[f"{key}_novelty"].to_numpy(),
        (obs[key] == "Unassigned").to_numpy(),
    )


def epifoundation(data: Data, _: None) -> Prediction:
    """Train the small network."""
    return ours("epifoundation", {"preset": "small"}, data, None)


def annatac(data: Data, _: None, *, with_starts: bool = False) -> Prediction:
    """Train the small network, on counts, which its tokens are of; on islands with a start, as published, or on all."""
    recipe = {"preset": "small"} | ({"tss": data.starts} if with_starts else {})
    return ours("annatac", recipe, data, None, layer=COUNTS)


NETWORKS = (*PACKAGE, "torch_geometric.nn", "torch._dynamo")
MODULES_OF_OURS = {
    "scllmda": NETWORKS,
    "seqalignatac": NETWORKS,
    "annatac": (*PACKAGE, "torch._dynamo"),
    "epifoundation": (*PACKAGE, "torch._dynamo"),
    "harmony_lr": (*PACKAGE, "harmonypy"),
}
DETERMINISTIC = ("lsi_knn", "lsi_lr", "spectral_lr", "nearest_centroid")


def methods_of_ours() -> dict[str, Method]:
    """Return all of `sl.get.methods()`, or none where the package is not installed."""
    if find_spec("scllmda") is None:
        return {}
    import scllmda as sl

    found = {}
    for name, row in sl.get.methods().iterrows():
        whole = Method(
            partial(ours, name, None),
            about=f"{row.description}; {row.citation}" if row.citation != "scllmda" else row.description,
            kind="ours" if name == "robust" else "baseline" if row.description.startswith("Baseline") else "published",
            modules=MODULES_OF_OURS.get(name, PACKAGE),
            is_peer=False,
            is_seeded=name not in DETERMINISTIC,
            needs_sequence="peak_embeddings" in row.reads,
        )
        found[name] = whole
        if name == "annatac":
            about = f"{row.description}; {row.citation}; here its small preset, without pre-training"
            found[name] = replace(whole, carry=annatac, about=f"{about}, on all islands that hold a peak of both sides")
            found[f"{name}, islands with a start"] = replace(
                whole,
                carry=partial(annatac, with_starts=True),
                about=f"{about}, on islands that hold a transcription start, as published",
                needs_starts=True,
            )
        if name == "epifoundation":
            about = f"{row.description}; {row.citation}; here its small preset, without pre-training"
            found[name] = replace(whole, carry=epifoundation, about=about)
        if whole.needs_sequence:
            found[f"{name}, second stage"] = replace(
                whole,
                carry=partial(ours, name, {"cells": "factorisation"}),
                about=f"Second stage of {name} on the embedding that robust reads",
                kind="variant",
                needs_sequence=False,
            )
    return found


# Embeddings of peers.


def spectral(data: Data, *, select: bool = True) -> np.ndarray:
    import snapatac2 as snap

    joint = data.joint()
    if select:
        snap.pp.select_features(joint, verbose=False)
    snap.tl.spectral(joint, features="selected" if select else None, random_state=data.seed)
    return joint.obsm["X_spectral"]


def spectral_of_all_peaks(data: Data) -> np.ndarray:
    return spectral(data, select=False)


def peakvi(data: Data) -> np.ndarray:
    import scvi

    return latent(data, scvi.model.PEAKVI)


def poissonvi(data: Data) -> np.ndarray:
    import scvi

    return latent(data, scvi.external.POISSONVI)


def latent(data: Data, network: Any) -> np.ndarray:
    import scvi

    scvi.settings.seed = data.seed
    joint = data.joint()
    network.setup_anndata(joint, batch_key=DOMAIN)
    model = network(joint)
    model.train(max_epochs=data.epochs, accelerator="cpu", enable_progress_bar=False)
    return model.get_latent_representation()


# Classifiers on embeddings.


def logistic_regression(data: Data, W: np.ndarray) -> Prediction:
    return classified(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), data, W)


def nearest_neighbors(data: Data, W: np.ndarray) -> Prediction:
    return classified(KNeighborsClassifier(15), data, W)


def classified(model: Any, data: Data, W: np.ndarray) -> Prediction:
    n = data.reference.n_obs
    proba = model.fit(W[:n], data.labels).predict_proba(W[n:])
    return Prediction(model.classes_[proba.argmax(axis=1)], proba, model.classes_)


def harmony_and_logistic_regression(data: Data, W: np.ndarray) -> Prediction:
    import harmonypy

    domains = pd.DataFrame({DOMAIN: np.repeat(["reference", "query"], [data.reference.n_obs, data.query.n_obs])})
    run = harmonypy.run_harmony(W, domains, DOMAIN, random_state=data.seed, verbose=False)
    mixed = np.asarray(run.Z_corr)
    return logistic_regression(data, mixed if len(mixed) == len(W) else mixed.T)  # which differs between releases


# Peers without an embedding of their own to classify.


def scanvi(data: Data, _: None) -> Prediction:
    import scvi

    scvi.settings.seed = data.seed
    joint = data.joint()
    scvi.model.SCVI.setup_anndata(joint, batch_key=DOMAIN, labels_key=LABELS)
    unsupervised = scvi.model.SCVI(joint, n_layers=2, gene_likelihood="poisson")
    settings: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False}
    unsupervised.train(max_epochs=data.epochs, **settings)
    model = scvi.model.SCANVI.from_scvi_model(unsupervised, unlabeled_category=UNKNOWN)
    model.train(max_epochs=max(1, data.epochs // 5), n_samples_per_label=100, **settings)
    proba = model.predict(joint[joint.obs[DOMAIN] == "query"].copy(), soft=True)
    classes = proba.columns.to_numpy(str)
    return Prediction(classes[proba.to_numpy().argmax(axis=1)], proba.to_numpy(), classes)


class OneVsRest(LogisticRegression):
    """`LogisticRegression(multi_class="ovr")`, which CellTypist asks for and scikit-learn dropped in 1.8."""

    def __init__(self, *, C: float, solver: str, max_iter: int, multi_class: str, n_jobs: int | None) -> None:
        super().__init__(C=C, solver=solver, max_iter=max_iter, n_jobs=n_jobs)
        self.multi_class = multi_class

    def fit(self, X: np.ndarray, y: np.ndarray) -> OneVsRest:
        self.classes_ = np.unique(y)
        binary = LogisticRegression(C=self.C, solver=self.solver, max_iter=self.max_iter)
        of_classes = self.classes_ if len(self.classes_) > 2 else self.classes_[1:]
        fits = [(f.coef_, f.intercept_) for f in (binary.fit(X, y == c) for c in of_classes)]
        self.coef_, self.intercept_ = (np.concatenate(part) for part in zip(*fits, strict=True))
        return self


def log_normalized(data: Data) -> list[ad.AnnData]:
    """Return reference and query with the same depth in all cells, 10,000."""
    import scanpy as sc

    both = [data.reference.copy(), data.query.copy()]
    for adata in both:
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    return both


def celltypist(data: Data, _: None) -> Prediction:
    import celltypist as ct

    ct.logger.set_level("ERROR")
    train = importlib.import_module("celltypist.train")
    train.LogisticRegression = OneVsRest
    reference, query = log_normalized(data)
    model = ct.train(reference, labels=LABELS)
    result = ct.annotate(query, model=model, majority_voting=False)
    proba = result.probability_matrix
    return Prediction(
        result.predicted_labels["predicted_labels"].to_numpy(str), proba.to_numpy(), proba.columns.to_numpy(str)
    )


def ingest(data: Data, _: None) -> Prediction:
    import scanpy as sc

    reference, query = log_normalized(data)
    sc.pp.pca(reference)
    sc.pp.neighbors(reference, n_neighbors=15)
    sc.tl.ingest(query, reference, obs=LABELS, embedding_method="pca")
    return Prediction(query.obs[LABELS].to_numpy(str))


def lsi(data: Data) -> np.ndarray:
    import muon as mu

    joint = data.joint()
    mu.atac.pp.tfidf(joint, scale_factor=1e4)
    mu.atac.tl.lsi(joint, n_comps=min(50, min(joint.shape) - 1))
    return joint.obsm["X_lsi"][:, 1:]  # the first is depth


def cellmapper(data: Data, W: np.ndarray, *, metric: str = "euclidean") -> Prediction:
    reference, query = data.reference.copy(), data.query.copy()
    reference.obsm["X_joint"], query.obsm["X_joint"] = W[: data.reference.n_obs], W[data.reference.n_obs :]
    return mapped_by_cellmapper(reference, query, use_rep="X_joint", knn_dist_metric=metric)


def cellmapper_on_cca(data: Data, _: None) -> Prediction:
    reference, query = log_normalized(data)
    n_comps = min(50, min(reference.n_obs, *query.shape) - 1)
    return mapped_by_cellmapper(reference, query, n_comps=n_comps, fallback_representation="fast_cca")


def mapped_by_cellmapper(reference: ad.AnnData, query: ad.AnnData, **given: Any) -> Prediction:
    """Carry labels over as `CellMapper.map` does by default, keeping the probabilities."""
    import cellmapper as cm

    cm.logging.logger.setLevel("ERROR")
    reference.obs[LABELS] = reference.obs[LABELS].astype("category")
    mapper = cm.CellMapper(query, reference)
    mapper.compute_neighbors(n_neighbors=min(30, reference.n_obs, query.n_obs), **given)
    mapper.compute_mapping_matrix()
    proba = mapper.map_obs(LABELS, return_probabilities=True)
    dense = proba.sparse.to_dense().to_numpy()
    return Prediction(query.obs[f"{LABELS}_pred"].to_numpy(str), dense, proba.columns.to_numpy(str))


def epipack(data: Data, _: None) -> Prediction:
    """Follow the package's tutorials but for the epochs; log-normalized counts stand in for the scores of genes."""
    import epipackpy as ep
    import torch

    torch.manual_seed(data.seed)
    np.random.seed(data.seed)  # noqa: NPY002, which it draws from
    normalized = [adata.X.toarray() for adata in log_normalized(data)]
    peaks = []
    for adata in (data.reference, data.query):
        of_peaks = ep.ml.Peak_Model(adata.X.toarray(), device="cpu")
        of_peaks.train_model(nepochs=data.epochs)
        peaks.append(of_peaks.get_z().detach().numpy())
    batches = [np.zeros(adata.n_obs, dtype=int) for adata in (data.reference, data.query)]
    settings: dict[str, Any] = {"use_batch_norm": False, "use_layer_norm": True, "device": "cpu", "reg_mmd": 10}
    network = ep.ml.PEIVI(normalized[0], peaks[0], batches[0], reg_rec=1, reg_z_l2=1, **settings)
    network.train_model(pre_train_epoch=data.epochs // 2, nepochs=data.epochs)
    known = network.get_latent()
    mapping = ep.ml.PEIVI_MAPPING(
        normalized[1], peaks[1], batches[1], known, reg_mmd_inter=100, reg_rec=0.1, reg_z_l2=0.1, **settings
    )
    mapping = ep.ml.query_model_initial(
        mapping, network.state_dict(), query_batch_num=1, gene_feature_num=data.query.n_vars
    )
    mapping.train_model(nepochs=data.epochs)
    classes, codes = np.unique(data.labels, return_inverse=True)
    model = ep.ml.Classifier(known, codes, hidden_num=64, batchnorm=False, device="cpu")
    model.train_model(nepochs=data.epochs)
    model.eval()
    with torch.no_grad():
        of_known, of_new = (model.inference(torch.FloatTensor(z)) for z in (known, mapping.get_latent()))
    proba = torch.softmax(of_new["class_z"], dim=1).numpy()
    spaces = [found["cls_latent"].numpy() for found in (of_known, of_new)]
    rejected = np.zeros(data.query.n_obs, dtype=bool)
    remote, share = ep.ml.Global_oor_detector(*spaces, codes, proba.argmax(axis=1)).annotate(confidence_threshold=0.01)
    rejected[remote] = True
    return Prediction(classes[proba.argmax(axis=1)], proba, classes, 1 - np.asarray(share), rejected)


class Annotated(Exception):
    """The labels are written, and what follows is not needed."""


def mingle(data: Data, _: None) -> Prediction:
    import lightning
    import scMINGLE

    def stop(*args: Any, **kwargs: Any) -> None:
        raise Annotated

    lightning.seed_everything(data.seed, verbose=False)
    network = importlib.import_module("scMINGLE.network")
    network.Explainer = stop
    reference, query = data.reference.copy(), data.query.copy()
    query.obs[LABELS] = data.labels[0]  # it scores itself on some label
    with tempfile.TemporaryDirectory() as folder:
        try:
            scMINGLE.predict(reference, query, "cpu", cell_row=LABELS, peak_col="index", save_path=f"{folder}/")
        except Annotated:
            labels = pd.read_csv(Path(folder, "MINGLE", "result.csv"))["Annotations of MINGLE"]
    return Prediction(labels.to_numpy(str)[-query.n_obs :])


SPECTRAL = {"embed": spectral, "modules": ("snapatac2",)}
PEAKVI: dict[str, Any] = {"embed": peakvi, "modules": ("scvi",), "is_seeded": True, "trains": True}
POISSONVI: dict[str, Any] = PEAKVI | {"embed": poissonvi, "modules": ("scvi", "scvi.external")}
PEERS = {
    "SnapATAC2 + LR": Method(
        logistic_regression, "Spectral embedding of the selected peaks, standardized, logistic regression", **SPECTRAL
    ),
    "SnapATAC2 + kNN": Method(
        nearest_neighbors, "Spectral embedding of the selected peaks, 15 nearest cells", **SPECTRAL
    ),
    "SnapATAC2, all peaks + LR": Method(
        logistic_regression,
        "Spectral embedding of all peaks (features=None), standardized, logistic regression",
        embed=spectral_of_all_peaks,
        modules=("snapatac2",),
    ),
    "SnapATAC2 + Harmony + LR": Method(
        harmony_and_logistic_regression,
        "Spectral embedding of the selected peaks, reference and query mixed by Harmony, logistic regression",
        embed=spectral,
        modules=("snapatac2", "harmonypy"),
        is_seeded=True,
    ),
    "scanpy ingest": Method(
        ingest, "PCA of log-normalized counts of the reference, 15 nearest cells; no probabilities", modules=("scanpy",)
    ),
    "CellTypist": Method(
        celltypist, "Logistic regression, a class against the rest, on log-normalized counts", modules=("celltypist",)
    ),
    "CellMapper, SnapATAC2": Method(
        cellmapper,
        "Spectral embedding of the selected peaks, 30 nearest cells with Gaussian weights",
        embed=spectral,
        modules=("cellmapper", "snapatac2"),
    ),
    "CellMapper, LSI": Method(
        partial(cellmapper, metric="cosine"),
        "LSI of both without the first dimension, 30 nearest cells by cosine with Gaussian weights",
        embed=lsi,
        modules=("cellmapper", "muon", "scanpy"),
    ),
    "CellMapper, CCA": Method(
        cellmapper_on_cca,
        "Its CCA of log-normalized counts, 30 nearest cells with Gaussian weights",
        modules=("cellmapper", "scanpy"),
    ),
    "EpiPack": Method(
        epipack,
        "Autoencoders of the peaks, a variational one of the reference, the query mapped to it, a network as "
        "classifier; on log-normalized counts of peaks, for want of genes",
        modules=("epipackpy", "scanpy"),
        is_seeded=True,
        trains=True,
    ),
    "MINGLE": Method(
        mingle,
        "Contrastive network and graph convolutions, without its interpretation; no probabilities",
        modules=("lightning", "scMINGLE"),
        is_seeded=True,
    ),
    "PeakVI + LR": Method(
        logistic_regression, "Latent space with the domain as batch, standardized, logistic regression", **PEAKVI
    ),
    "PeakVI + kNN": Method(nearest_neighbors, "Latent space with the domain as batch, 15 nearest cells", **PEAKVI),
    "PoissonVI + LR": Method(
        logistic_regression,
        "Latent space with the domain as batch, of counts that are open or closed, standardized, logistic regression",
        **POISSONVI,
    ),
    "SCANVI": Method(
        scanvi,
        "From scVI (2 layers, Poisson) with the domain as batch, then a fifth of its epochs with labels",
        modules=("scvi",),
        is_seeded=True,
        trains=True,
    ),
}


def methods() -> dict[str, Method]:
    return methods_of_ours() | PEERS


def annotate(
    reference: str, query: str, names: list[str], seed: int, epochs: int, embeddings: str | None, starts: str | None
) -> dict[str, Any]:
    """Return the predictions of methods that share embedding and modules, each with its cost including that of both."""
    chosen = {name: methods()[name] for name in names}
    shared = next(iter(chosen.values()))
    data = Data(ad.read_h5ad(reference), ad.read_h5ad(query), seed, epochs, starts)
    found: dict[str, Any] = {"versions": ", ".join(versions(shared.modules))}
    W, cost = embedded(shared, data, embeddings)
    before = cost["peak"] - cost["added"]
    for name, method in chosen.items():
        prediction, own = measured(partial(method.carry, data, W))
        found[f"{name}:seconds"] = cost["seconds"] + own["seconds"]
        found[f"{name}:mb"] = max(cost["peak"], own["peak"]) - before
        found |= {f"{name}:{key}": np.asarray(v) for key, v in vars(prediction).items() if v is not None}
    return found


def embedded(method: Method, data: Data, folder: str | None) -> tuple[np.ndarray | None, dict[str, float]]:
    """Return the embedding and its cost, or those kept in a folder: tasks that differ in labels alone share them."""
    if method.embed is None or folder is None:
        return measured(lambda: None if method.embed is None else method.embed(data))
    settings = [method.embed.__name__, data.seed, data.epochs, *versions(method.modules)]
    digest = sha256(repr(settings).encode())
    for adata in (data.reference, data.query):
        digest.update(adata.X.indptr.tobytes() + adata.X.indices.tobytes())
    path = Path(folder, f"{digest.hexdigest()}.npz")
    if not path.exists():
        W, cost = measured(partial(method.embed, data))
        path.parent.mkdir(exist_ok=True)
        np.savez(path, embedding=W, **cost)
    with np.load(path) as kept:
        return kept["embedding"], {key: kept[key].item() for key in kept.files if key != "embedding"}


def versions(modules: tuple[str, ...]) -> list[str]:
    """Return the names and releases of the packages that modules came with."""
    packages = packages_distributions()
    imported = (module.split(".")[0] for module in modules)
    # A package installed for development does not say which modules it has.
    names = dict.fromkeys(packages.get(module, [module])[0] for module in imported)
    return [f"{name} {version(name)}" for name in names]


if __name__ == "__main__":
    serve(annotate)
