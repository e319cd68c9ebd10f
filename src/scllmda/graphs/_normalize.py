from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def symmetric_normalize(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return D^-1/2 A D^-1/2, where D holds the row sums of A; rows of cells without edges stay empty."""
    degree = np.asarray(graph.sum(axis=1, dtype=np.float64)).ravel()
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    scale = sp.diags_array(root)
    return sp.csr_matrix(scale @ graph @ scale, dtype=np.float32)


def gcn_normalize(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return D^-1/2 (A + I) D^-1/2, the propagation matrix of Kipf & Welling 2017."""
    return symmetric_normalize(sp.csr_matrix(graph + sp.eye_array(graph.shape[0], dtype=np.float32)))
