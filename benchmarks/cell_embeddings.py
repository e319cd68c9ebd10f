"""How good and how quick cell embeddings are: `python benchmarks/cell_embeddings.py FILE…`, by hand, minutes to hours.

Each method runs in a process of its own, with `--threads` threads and imports done before the clock starts; MB is what
the fit adds to the process that holds the data already, at its peak (Linux). All get the same binary counts. Peers
(`peers.txt`) that `--peers-python` does not have get a row that says so. Every part prints markdown tables:

transfer
    Reference and query cells are embedded jointly, without labels; the labels of one half of the batches are carried to
    the other. The embedding is centered and divided by one standard deviation, then logistic regression (C=1; after
    scaling each cell to unit length C=0.3) or the 15 nearest neighbors by cosine. Accuracy/macro-F1 over true ∪
    predicted types.
likelihood
    A tenth of the non-zeros is set to zero before the fit, for the test, and a twentieth to tune the decoder, which is
    made the same way for each embedding and does not change with its basis or scales: what counts is which space it
    spans. With r_j and c_i the training counts of cell j and peak i, N their sum, and w_j the embedding, linearly
    transformed to weighted mean zero and Σ_j r_j w_j w_jᵀ = N I, the rate is

        λ_ij = r_j c_i max(1 + Σ_d s_d w_jd v_id, φ),   v_i = Σ_j x_ij w_j / (c_i + κ),

    v_i being the ridge regression of the peak's training Pearson residuals on w, in the rotation where Σ_i c_i v_i v_iᵀ
    is diagonal. An embedding has seen the counts that v is fitted to, so v takes its noise for effects. s_d ≥ 0 undoes
    that: the least-squares slope of the tuning counts y (their sum n, expectation n/N of the training counts) on w v,

        s_d = (N/n) Σ_ij y_ij w_jd v_id / Σ_i c_i v_id².

    The score is the log-probability that a held-out non-zero is where it is among the set Z of all entries closed in
    training, log λ_ij − log Σ_Z λ, minus the same under independence, λ_ij = r_j c_i; its mean over the test, in nats.
    The sums run over every entry of Z: the logarithmic score of a normalized distribution is proper. κ and φ are those
    with the best score of the tuning counts.
published
    The same score after several numbers of epochs of the published recipe, and the seconds to its best one over the
    seconds of our whole fits. Its network reads the k-mers of `.var["seq"]`. For files without it gets more than DNA
    could tell, the peaks' own loadings in our fit of the training counts, and is not charged with the seconds of that.
growth
    Seconds and memory on simulated counts, read from disk, with the same non-zeros per cell when cells, or peaks,
    double `--doublings` times; medians of `--repeats`.
map
    One half is embedded alone, the other mapped onto it: cells/s, and labels carried over as in transfer.
large
    A simulated file read from disk, by default 200,000 cells × 100,000 peaks with 2,000 non-zeros per cell.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from _real_data import CORTEX, GRANJA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

KEY = "X_scllmda"
LOADINGS = "X_loadings"
RIDGES, FLOORS = (3, 10, 30, 100), (0.03, 0.1, 0.3)
"""κ, in counts, and φ."""
THREADS = tuple(f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON"))
PACKAGE = ("scllmda", "scanpy")
"""Ours, and what it imports when something is first logged."""
BLOCK = 1024
"""Cells whose rates are dense at a time."""
N_PROGRAMS = 10
"""Rank of the simulated counts."""


# Methods, as they run in their own process.


def scllmda(adata: ad.AnnData, epochs: int, n_latent: int = 128) -> np.ndarray:
    import scllmda as sl

    sl.tl.cell_embeddings(adata, domain_key="half" if "half" in adata.obs else None, n_latent=n_latent)
    return adata.obsm[KEY]


def published(adata: ad.AnnData, epochs: int) -> np.ndarray:
    import scllmda as sl

    use_varm = LOADINGS if LOADINGS in adata.varm else None
    sl.tl.cell_embeddings(adata, recipe="published", n_epochs=epochs, use_varm=use_varm)
    return adata.obsm[KEY]


def lsi(adata: ad.AnnData, epochs: int) -> np.ndarray:
    import muon as mu

    mu.atac.pp.tfidf(adata, scale_factor=1e4)
    mu.atac.tl.lsi(adata, n_comps=50)
    return adata.obsm["X_lsi"][:, 1:]  # the first is depth


def spectral(adata: ad.AnnData, epochs: int, n_comps: int = 30) -> np.ndarray:
    import snapatac2 as snap

    snap.tl.spectral(adata, features=None, n_comps=n_comps)
    return adata.obsm["X_spectral"]


def peakvi(adata: ad.AnnData, epochs: int) -> np.ndarray:
    import scvi

    scvi.settings.seed = 0
    scvi.model.PEAKVI.setup_anndata(adata)
    model = scvi.model.PEAKVI(adata)
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False)
    return model.get_latent_representation()


@dataclass(frozen=True)
class Method:
    embed: Callable[[ad.AnnData, int], np.ndarray]
    """(data, most epochs) → (n_cells, k)."""
    needs: tuple[str, ...]
    epochs: str = ""
    """The option that limits them."""
    is_peer: bool = True


OURS, PUBLISHED = "scllmda", "published recipe"
METHODS = {
    OURS: Method(scllmda, PACKAGE, is_peer=False),
    "scllmda, 64": Method(partial(scllmda, n_latent=64), PACKAGE, is_peer=False),
    "scllmda, 16": Method(partial(scllmda, n_latent=16), PACKAGE, is_peer=False),
    "TF-IDF + LSI": Method(lsi, ("muon",)),
    "SnapATAC2 spectral": Method(spectral, ("snapatac2",)),
    "SnapATAC2 spectral, 128": Method(partial(spectral, n_comps=128), ("snapatac2",)),
    "PeakVI": Method(peakvi, ("scvi",), epochs="peakvi_epochs"),
    PUBLISHED: Method(published, (*PACKAGE, "torch._dynamo"), epochs="published_epochs", is_peer=False),
}


def load(modules: tuple[str, ...]) -> None:
    """Import what a method needs before the clock starts."""
    for module in modules:
        importlib.import_module(module)


def fit(file: str, method: str, epochs: int) -> dict[str, Any]:
    for module in METHODS[method].needs:
        if find_spec(module) is None:
            return {"missing": f"not installed: {module}"}
        importlib.import_module(module)
    adata = ad.read_h5ad(file)
    embedding, figures = measured(partial(METHODS[method].embed, adata, epochs))
    return {"embedding": np.asarray(embedding, dtype=np.float32), **figures}


def map_query(file: str, reference: str) -> dict[str, Any]:
    load(PACKAGE)
    import scllmda as sl

    adata = ad.read_h5ad(file)
    fitted, mapped = (adata[cells].copy() for cells in (adata.obs["half"] == reference, adata.obs["half"] != reference))
    sl.tl.cell_embeddings(fitted)
    _, figures = measured(partial(sl.tl.map_cells, mapped, fitted))
    embeddings = (pd.DataFrame(part.obsm[KEY], index=part.obs_names) for part in (fitted, mapped))
    return {"embedding": pd.concat(embeddings).loc[adata.obs_names].to_numpy(), **figures}


def fit_backed(file: str) -> dict[str, Any]:
    load(PACKAGE)
    import scllmda as sl

    _, figures = measured(partial(sl.tl.cell_embeddings, ad.read_h5ad(file, backed="r")))
    return figures


def fit_and_map_backed(file: str) -> dict[str, Any]:
    load(PACKAGE)
    import scllmda as sl

    reference, query = ad.read_h5ad(file, backed="r"), ad.read_h5ad(file, backed="r")
    _, fitted = measured(partial(sl.tl.cell_embeddings, reference))
    _, mapped = measured(partial(sl.tl.map_cells, query, reference))
    return {f"fit_{k}": v for k, v in fitted.items()} | {f"map_{k}": v for k, v in mapped.items()}


JOBS = {job.__name__: job for job in (fit, map_query, fit_backed, fit_and_map_backed)}


def measured(function: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, start = resident("VmRSS"), perf_counter()
    result = function()
    seconds, peak = perf_counter() - start, resident("VmHWM")
    return result, {"seconds": seconds, "added": peak - before, "peak": peak}


def resident(field: str) -> float:
    """Return current ("VmRSS") or peak ("VmHWM") resident memory in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def run(
    options: argparse.Namespace, job: str, adata: ad.AnnData | Path, *, is_peer: bool = False, **given: Any
) -> dict:
    """Return what a job in its own process found; of a peer, perhaps only why it is "missing"."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        file, out = Path(folder, "in.h5ad"), Path(folder, "out.npz")
        if isinstance(adata, Path):
            file = adata
        else:
            adata.write_h5ad(file)
        interpreter = options.peers_python if is_peer else sys.executable
        done = subprocess.run(
            [interpreter, __file__, "--job", json.dumps({"job": job, "out": str(out), "file": str(file), **given})],
            env=os.environ | dict.fromkeys(THREADS, str(options.threads)),
            stdout=sys.stderr,
            check=not is_peer,
        )
        if done.returncode:
            return {"missing": f"failed with exit code {done.returncode}, see the log"}
        with np.load(out) as found:
            return {k: found[k] if found[k].ndim else found[k].item() for k in found.files}


def work(job: str, out: str, **given: Any) -> None:
    np.savez(out, **JOBS[job](**given))


def fit_one(options: argparse.Namespace, adata: ad.AnnData, name: str, epochs: int | None = None) -> dict:
    method = METHODS[name]
    epochs = getattr(options, method.epochs, 0) if epochs is None else epochs
    return run(options, "fit", adata, is_peer=method.is_peer, method=name, epochs=epochs)


def fits(options: argparse.Namespace, adata: ad.AnnData) -> Iterator[tuple[list[object], np.ndarray]]:
    """Yield the first columns of a row and the embedding, ours first; print a row for what is missing."""
    ours = np.nan
    for name in METHODS:
        if name not in options.methods or (name == PUBLISHED and "X_kmer" not in adata.varm):
            continue
        result = fit_one(options, adata, name)
        if "missing" in result:
            row(name, result["missing"])
            continue
        W, seconds = result["embedding"], result["seconds"]
        ours = seconds if name == OURS else ours
        yield [name, W.shape[1], f"{seconds:.1f}", f"{seconds / ours:.2f}", f"{result['added']:.0f}"], W


# Parts, as they run in the process that was started by hand.


SPLITS = {split.file: split for split in (GRANJA, CORTEX)}


def splits(options: argparse.Namespace, part: str) -> Iterator[tuple[ad.AnnData, list[tuple[str, str]], list[str]]]:
    """Yield data with `.obs["half"]`, (reference, query) both ways, and columns with labels, of the files in SPLITS."""
    for path in options.files:
        if path.name in SPLITS:
            split, adata = SPLITS[path.name], read(path)
            adata.obs["half"] = split.sides(adata.obs["batch"])
            heading(part, path, adata)
            yield adata, list(permutations(split.batches, 2)), list(split.labels)


def read(path: Path) -> ad.AnnData:
    """Return binary counts of peaks open somewhere, with k-mers if there are sequences."""
    adata = ad.read_h5ad(path)
    adata.X = sp.csr_matrix(adata.X > 0, dtype=np.float32)
    adata = adata[open_somewhere(adata.X)].copy()
    if "seq" in adata.var:
        import scllmda as sl

        adata.var["sequence"] = adata.var["seq"]
        sl.tl.embed_peaks(adata, "kmer")
    return adata


def open_somewhere(X: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells with an open peak and the peaks open in a cell: not every method takes others."""
    return np.flatnonzero(np.diff(X.indptr)), np.unique(X.indices)


def heading(part: str, path: Path, adata: ad.AnnData) -> None:
    print(f"\n{part}, {path.stem}: {adata.n_obs:,} cells × {adata.n_vars:,} peaks, {adata.X.nnz:,} non-zeros\n")


def table(*columns: str) -> None:
    row(*columns)
    print("|" + "---|" * len(columns), flush=True)


def row(*values: object) -> None:
    print("| " + " | ".join(map(str, values)) + " |", flush=True)


def transfer(options: argparse.Namespace) -> None:
    for adata, directions, labels in splits(options, "transfer"):
        half, tasks = adata.obs["half"], [(key, a, b) for key in labels for a, b in directions]
        titles = (f"{key} {a} → {b}" for key, a, b in tasks)
        table("method", "dims", "seconds", "× ours", "MB", "classifier", *titles)
        for columns, W in fits(options, adata):
            for name in CLASSIFIERS:
                scores = [carried(W, adata.obs[key], half == a, half == b, name) for key, a, b in tasks]
                row(*columns, name, *scores)


CLASSIFIERS = {
    "LR": (False, LogisticRegression(C=1.0, max_iter=1000)),
    "LR, unit length": (True, LogisticRegression(C=0.3, max_iter=1000)),
    "kNN": (False, KNeighborsClassifier(15, metric="cosine")),
}
"""Whether cells are scaled to unit length first. Of 0.1 to 3, cross-validation within each reference chose C=0.3."""


def carried(W: np.ndarray, labels: pd.Series, reference: pd.Series, query: pd.Series, name: str) -> str:
    """Return accuracy/macro-F1 of labels (n_cells,) carried from one mask of cells to another by W (n_cells, k)."""
    unit_length, classifier = CLASSIFIERS[name]
    W = normalize(W) if unit_length else W
    W, truth = W - W.mean(axis=0), labels.to_numpy(str)
    W = W / W.std()
    predicted = classifier.fit(W[reference], truth[reference]).predict(W[query])
    scores = accuracy_score(truth[query], predicted), f1_score(truth[query], predicted, average="macro")
    return "/".join(f"{score:.3f}" for score in scores)


@dataclass(frozen=True)
class HeldOut:
    """Non-zeros set to zero: of the cells and peaks that still have others."""

    train: ad.AnnData
    tune: sp.csr_matrix
    test: sp.csr_matrix

    @property
    def cell_counts(self) -> np.ndarray:
        return np.diff(self.train.X.indptr).astype(np.float64)

    @property
    def peak_counts(self) -> np.ndarray:
        return np.bincount(self.train.X.indices).astype(np.float64)

    @classmethod
    def of(cls, adata: ad.AnnData, rng: np.random.Generator) -> HeldOut:
        X = adata.X.tocoo()
        part = rng.choice(3, size=X.nnz, p=[0.85, 0.05, 0.1])
        parts = [sp.csr_matrix((X.data[part == i], (X.row[part == i], X.col[part == i])), X.shape) for i in range(3)]
        cells, peaks = open_somewhere(parts[0])
        parts = [X[cells][:, peaks] for X in parts]
        train = adata[cells, peaks].copy()
        train.X = parts[0]
        return cls(train, *parts[1:])

    def gain(self, W: np.ndarray) -> float:
        """Return nats per held-out non-zero of the test; the head of the file has the formulas."""
        r, c = self.cell_counts, self.peak_counts
        W = W - np.average(W.astype(np.float64), axis=0, weights=r)
        mass, axes = np.linalg.eigh(W.T @ (W * (r / r.sum())[:, None]))
        kept = mass > 1e-9 * mass.max()
        W = W @ (axes[:, kept] / np.sqrt(mass[kept]))
        trained, tuned = self.train.X.T @ W, self.tune.T @ W * (r.sum() / self.tune.nnz)
        scores = []
        for ridge in RIDGES:
            V = trained / (c[:, None] + ridge)
            strength, axes = np.linalg.eigh(V.T @ (V * c[:, None]))
            V = V @ axes
            slopes = ((tuned @ axes) * V).sum(axis=0) / strength
            scores += self._scores(W @ axes, V * np.maximum(slopes, 0))
        return max(scores)[1]

    def _scores(self, W: np.ndarray, V: np.ndarray) -> list[tuple[float, float]]:
        """Return the nats of tune and of test for every floor."""
        X, r, c = self.train.X, self.cell_counts, self.peak_counts
        W, V = W.astype(np.float32), V.astype(np.float32)
        logs, closed, base = np.zeros((2, len(FLOORS))), np.zeros(len(FLOORS)), r.sum() * c.sum()
        for start in range(0, len(r), BLOCK):
            cells = slice(start, start + BLOCK)
            relative = 1 + W[cells] @ V.T
            row_of, peak_of = X[cells].nonzero()
            rate = r[cells][row_of] * c[peak_of]
            base -= rate.sum()
            held_out = [part[cells].nonzero() for part in (self.tune, self.test)]
            for i, floor in enumerate(FLOORS):
                np.maximum(relative, floor, out=relative)  # in place: floors rise
                closed[i] += r[cells] @ (relative @ c.astype(np.float32)) - rate @ relative[row_of, peak_of]
                logs[:, i] += [np.log(relative[entries], dtype=np.float64).sum() for entries in held_out]
        n = np.array([[self.tune.nnz], [self.test.nnz]])
        return [(tune, test) for tune, test in (logs / n - np.log(closed / base)).T]


def likelihood(options: argparse.Namespace) -> None:
    for path in options.files:
        held_out = HeldOut.of(read(path), np.random.default_rng(options.seed))
        heading("likelihood", path, held_out.train)
        table("method", "dims", "seconds", "× ours", "MB", "nats per held-out non-zero")
        for columns, W in fits(options, held_out.train):
            row(*columns, f"{held_out.gain(W):.4f}")


def published_epochs(options: argparse.Namespace) -> None:
    for path in options.files:
        held_out = HeldOut.of(read(path), np.random.default_rng(options.seed))
        heading("published", path, held_out.train)
        table("method", "epochs", "seconds", "nats per held-out non-zero")

        def score(name: str, epochs: int = 0, held_out: HeldOut = held_out) -> tuple[float, float]:
            result = fit_one(options, held_out.train, name, epochs)
            gain, seconds = held_out.gain(result["embedding"]), result["seconds"]
            row(name, epochs or "–", f"{seconds:.2f}", f"{gain:.4f}")
            return gain, seconds

        ours = {name: score(name)[1] for name in METHODS if name.startswith(OURS)}
        if "X_kmer" not in held_out.train.varm:
            fitted = held_out.train.copy()
            scllmda(fitted, 0)
            held_out.train.varm[LOADINGS] = fitted.varm[KEY]
        _, best = max(score(PUBLISHED, epochs) for epochs in sorted(options.epochs))
        ratios = ", ".join(f"{best / seconds:.0f} times {name}" for name, seconds in ours.items())
        print(f"\nThe best of the published recipe takes {best:.1f} s, {ratios}.", flush=True)


def growth(options: argparse.Namespace) -> None:
    n_cells, n_peaks, per_cell = options.growth_size
    steps = range(options.doublings + 1)
    for what, shapes in (
        ("cells", [(n_cells << i, n_peaks) for i in steps]),
        ("peaks", [(n_cells, n_peaks << i) for i in steps]),
    ):
        print(f"\ngrowth with {what}, medians of {options.repeats}\n")
        table("cells", "peaks", "non-zeros", "seconds", "ratio", "MB peak of the process", "ratio")
        seconds, peaks = [], []
        for shape in shapes:
            with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
                path = Path(folder, "growth.h5ad")
                n_counts = write_simulated(path, *shape, per_cell)
                found = [run(options, "fit_backed", path) for _ in range(options.repeats)]
            for figures, name in ((seconds, "seconds"), (peaks, "peak")):
                figures.append(np.median([one[name] for one in found]))
            ratios = [f"{last[-1] / last[-2]:.2f}" if len(last) > 1 else "" for last in (seconds, peaks)]
            row(*shape, n_counts, f"{seconds[-1]:.2f}", ratios[0], f"{peaks[-1]:.0f}", ratios[1])
        ratios = [(last[-1] / last[0]) ** (1 / options.doublings) for last in (seconds, peaks)]
        print(f"\nA doubling of {what}: seconds × {ratios[0]:.2f}, memory × {ratios[1]:.2f}.", flush=True)


def simulate(n_cells: int, n_peaks: int, per_cell: int, rng: np.random.Generator) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return binary counts of cells that each mix two programs, and the one with the larger part, their type.

    The cost grows with the non-zeros alone.
    """
    # One draw from each of `per_cell` equal parts of the unit interval, so that few draws fall on the same peak.
    u = (np.arange(per_cell, dtype=np.float32) + rng.random((n_cells, per_cell), dtype=np.float32)) / per_cell
    own = rng.integers(N_PROGRAMS, size=(n_cells, 2))
    first_share = rng.random((n_cells, 1), dtype=np.float32)
    program = np.where(rng.random(u.shape, dtype=np.float32) < first_share, own[:, :1], own[:, 1:])
    is_shared = rng.random(u.shape, dtype=np.float32) < 0.5
    program[is_shared] = rng.integers(N_PROGRAMS, size=is_shared.sum())
    # Peaks of low rank are three times as often open as those of high rank.
    rank = np.minimum(n_peaks // N_PROGRAMS * (u + u**2) / 2, n_peaks // N_PROGRAMS - 1).astype(np.int32)
    peaks = rank * N_PROGRAMS + program.astype(np.int32)
    indptr = np.arange(0, peaks.size + 1, per_cell)
    X = sp.csr_matrix((np.ones(peaks.size, dtype=np.float32), peaks.ravel(), indptr), (n_cells, n_peaks))
    X.sum_duplicates()
    X.data[:] = 1
    larger = np.where(first_share[:, 0] >= 0.5, own[:, 0], own[:, 1])
    return X, np.array([f"type {program}" for program in range(N_PROGRAMS)])[larger]


def map_onto_reference(options: argparse.Namespace) -> None:
    for adata, directions, labels in splits(options, "map"):
        table("reference → query", "seconds", "cells/s", *labels)
        half = adata.obs["half"]
        for a, b in directions:
            result = run(options, "map_query", adata, reference=a)
            W, seconds = result["embedding"], result["seconds"]
            scores = (carried(W, adata.obs[key], half == a, half == b, "LR") for key in labels)
            row(f"{a} → {b}", f"{seconds:.2f}", f"{(half == b).sum() / seconds:,.0f}", *scores)


def large(options: argparse.Namespace) -> None:
    n_cells, n_peaks, per_cell = options.large_size
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        path = Path(folder, "large.h5ad")
        n_counts = write_simulated(path, n_cells, n_peaks, per_cell)
        size = f"{n_counts:,} non-zeros, {path.stat().st_size / 1e9:.1f} GB"
        print(f"\nlarge: {n_cells:,} cells × {n_peaks:,} peaks, {size}\n", flush=True)
        result = run(options, "fit_and_map_backed", path)
    table("step", "seconds", "cells/s", "MB added", "MB peak of the process")
    for step in ("fit", "map"):
        seconds, added, peak = (result[f"{step}_{figure}"] for figure in ("seconds", "added", "peak"))
        row(step, f"{seconds:.1f}", f"{n_cells / seconds:,.0f}", f"{added:.0f}", f"{peak:.0f}")


def write_simulated(
    path: Path, n_cells: int, n_peaks: int, per_cell: int, cells_at_once: int = 2000, seed: int = 0
) -> int:
    """Write counts block by block, uncompressed CSR, with the cells' types, and return the number of non-zeros."""
    rng, types = np.random.default_rng(seed), []
    obs, var = (pd.DataFrame(index=pd.RangeIndex(n).astype(str)) for n in (n_cells, n_peaks))
    ad.AnnData(obs=obs, var=var).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        for start in range(0, n_cells, cells_at_once):
            X, of_cells = simulate(min(cells_at_once, n_cells - start), n_peaks, per_cell, rng)
            types.append(of_cells)
            if start == 0:
                ad.io.write_elem(file, "X", X)
            else:
                ad.io.sparse_dataset(file["X"]).append(X)
        ad.io.write_elem(file, "obs", obs.assign(type=pd.Categorical(np.concatenate(types))))
        return file["X/data"].size


PARTS = {
    "transfer": transfer,
    "likelihood": likelihood,
    "published": published_epochs,
    "growth": growth,
    "map": map_onto_reference,
    "large": large,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", help=".h5ad; transfer and map know " + ", ".join(SPLITS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[part for part in PARTS if part != "large"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter with the packages of peers.txt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peakvi-epochs", type=int, default=500, help="at most; it stops early by itself")
    parser.add_argument("--published-epochs", type=int, default=400, help="in transfer and likelihood")
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 25, 50, 100, 200, 400], help="in published")
    sizes: dict[str, Any] = {"type": int, "nargs": 3, "metavar": ("CELLS", "PEAKS", "PER_CELL")}
    parser.add_argument("--growth-size", default=[5_000, 20_000, 500], **sizes)
    parser.add_argument("--large-size", default=[200_000, 100_000, 2_000], **sizes)
    parser.add_argument("--doublings", type=int, default=2, help="in growth")
    parser.add_argument("--seed", type=int, default=0, help="of what is held out, in likelihood and published")
    parser.add_argument("--repeats", type=int, default=3, help="in growth")
    parser.add_argument("--scratch", type=Path, help="folder for files; large needs 8 bytes per non-zero")
    options = parser.parse_args()
    with threadpool_limits(options.threads):
        for part in options.parts:
            PARTS[part](options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        work(**json.loads(sys.argv[2]))
    else:
        main()
