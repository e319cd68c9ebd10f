"""Read an AnnData or a MuData from a path of any format."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from .. import _logging as logg
from .._anndata import resolve
from .._checks import checked
from .._files import load

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked
def read(path: str | PathLike[str], *, mod: str = "atac") -> AnnData | MuData:
    r"""Read an AnnData or a MuData from a path of any format, as all functions do that take a path.

    Formats are told apart by what is in the files, and names are as the libraries of each format have them:

    - ``.h5ad`` (also compressed by zstd, as SnapATAC2 does, with ``hdf5plugin`` installed), ``.h5mu`` and ``.zarr``.
    - A matrix of Cell Ranger ATAC or ARC: ``filtered_peak_bc_matrix.h5``, ``filtered_feature_bc_matrix.h5``, and
      others in this layout, such as MAESTRO's; or the folder with ``matrix.mtx``, ``barcodes.tsv`` and ``peaks.bed`` or
      ``features.tsv``, gzipped or not, whatever stands before these names, as in downloads from GEO.
    - The folder of a run of Cell Ranger (``outs``, or the one above it), of which the matrix of called cells is read
      (``filtered_…``, the ``.h5`` rather than the folder); which one is said.

    A matrix with peaks and genes, as ARC writes it, is read as a MuData with the modalities ``"atac"`` and ``"rna"``,
    like ``muon.read_10x_h5`` does. Of other matrices an AnnData is read.

    Parameters
    ----------
    path
        File or folder.
    mod
        Modality of a MuData that holds the peaks, which has to be there. Of a matrix of Cell Ranger it is ``"atac"``.

    Returns
    -------
    What the file holds. Of a matrix of Cell Ranger it is cells × features, with

    `.X` : :class:`scipy.sparse.csr_matrix`
        Counts, float32.
    `.var` : :class:`pandas.DataFrame`
        Peaks are named ``chrom:start-end``, genes by their symbols, of which repeated ones get ``-1``, ``-2``, … at
        the end; ``gene_ids`` (of peaks the same as names) and ``feature_types``, and where the file has them
        ``interval`` and ``genome``.
    `.uns["genome"]` : :class:`str`
        Genome build of the peaks, where the file notes one for all: an ``.h5`` does, a folder does not.

    Raises
    ------
    FileNotFoundError
        There is nothing at this path.
    ValueError
        Files of another kind, a folder without a matrix, or one with the matrix of all barcodes alone.
    OSError
        A file is damaged, cut off or lacks its companions, matrix and barcodes differ in length, or a file may not be
        read.
    ImportError
        The file is compressed in a way that needs ``hdf5plugin``, which is not installed.
    KeyError
        A MuData without the modality ``mod``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import scllmda as sl
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "matrix.mtx").write_text("%%MatrixMarket matrix coordinate integer general\n2 1 1\n2 1 3\n")
    >>> _ = (folder / "peaks.bed").write_text("chr1\t100\t600\nchr2\t5\t80\n")
    >>> _ = (folder / "barcodes.tsv").write_text("AAACGAAAGACACGGT-1\n")
    >>> adata = sl.io.read(folder)
    >>> adata.var_names.tolist(), adata.X.toarray().tolist()
    (['chr1:100-600', 'chr2:5-80'], [[0.0, 3.0]])
    """
    start = logg.info(f"reading {path}")
    data, adata = resolve(load(path), mod=mod)
    logg.info(f"    finished: {adata.n_obs} cells × {adata.n_vars} features", time=start)
    return data
