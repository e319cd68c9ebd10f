from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from anndata import AnnData
from anndata.io import sparse_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scllmda import _counts
from scllmda._counts import CountBlocks, count_blocks, counts

DENSE = np.random.default_rng(0).integers(1, 5, (23, 9)) * (np.random.default_rng(1).random((23, 9)) < 0.3)
DENSE[[4, 22]], DENSE[:, 5] = 0, 0
FLOAT = DENSE.astype(np.float32)
SOME = np.array([0, 3, 4, 5, 9, 20])

pytestmark = pytest.mark.filterwarnings("ignore:.*zarr v2:UserWarning", "ignore:.*zarr v2:FutureWarning")


def joined(blocks: CountBlocks) -> np.ndarray:
    """Return all rows, of blocks that are as promised."""
    parts = list(blocks)
    for part in parts:
        assert isinstance(part, sp.csr_matrix)
        assert part.dtype == np.float32
        assert part.has_canonical_format
        assert (part.data > 0).all()
    sizes = [part.shape[0] for part in parts]
    assert all(size == blocks.block_size for size in sizes[:-1])
    assert sum(sizes) == blocks.shape[0]
    return sp.vstack([*parts, sp.csr_matrix((0, blocks.shape[1]))]).toarray()


def assert_gives(adata: AnnData, expected: np.ndarray) -> None:
    """Assert that all and some of the rows are as expected, by blocks of any size and at once."""
    for size in (1, 4, 23, 100):
        blocks = count_blocks(adata, block_size=size)
        assert blocks.shape == expected.shape
        np.testing.assert_array_equal(joined(blocks), expected)
        np.testing.assert_array_equal(joined(blocks), expected, err_msg="second pass")
        np.testing.assert_array_equal(joined(blocks.take(SOME)), expected[SOME])
    np.testing.assert_array_equal(counts(adata).toarray(), expected)


def dask_array(chunks: tuple[int, int], convert: Callable[[np.ndarray], object]) -> object:
    da = pytest.importorskip("dask.array")
    return da.from_array(FLOAT, chunks=chunks).map_blocks(convert, dtype=np.float32)


class TestForms:
    @pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.csc_array])
    @pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "bool"])
    def test_in_memory(self, convert: Callable[[np.ndarray], object], dtype: str) -> None:
        typed = DENSE.astype(dtype)
        assert_gives(AnnData(convert(typed)), typed.astype(np.float32))

    @pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix])
    def test_backed(self, convert: Callable[[np.ndarray], object], tmp_path: Path) -> None:
        AnnData(convert(FLOAT)).write_h5ad(tmp_path / "counts.h5ad")
        adata = anndata.read_h5ad(tmp_path / "counts.h5ad", backed="r")
        assert_gives(adata, FLOAT)
        assert adata.isbacked
        np.testing.assert_array_equal(joined(count_blocks(adata[SOME])), FLOAT[SOME])
        adata.file.close()

    @pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix])
    def test_sparse_in_zarr(self, convert: Callable[[np.ndarray], object], tmp_path: Path) -> None:
        AnnData(convert(FLOAT)).write_zarr(tmp_path / "counts.zarr")
        assert_gives(AnnData(sparse_dataset(zarr.open(tmp_path / "counts.zarr", mode="r")["X"])), FLOAT)

    def test_dense_on_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        adata = AnnData(FLOAT)
        adata.write_zarr(tmp_path / "counts.zarr")
        adata.write_h5ad(tmp_path / "counts.h5ad")
        with h5py.File(tmp_path / "counts.h5ad") as file:
            for stored in (zarr.open(tmp_path / "counts.zarr", mode="r")["X"], file["X"]):
                assert_gives(AnnData(stored), FLOAT)
                monkeypatch.setattr(_counts, "DENSE_ENTRIES", 2 * DENSE.shape[1])
                assert_gives(AnnData(stored), FLOAT)
                monkeypatch.undo()

    @pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
    @pytest.mark.parametrize("chunks", [(5, 9), (23, 9), (6, 4)], ids=["rows", "one", "rows and columns"])
    def test_dask(self, convert: Callable[[np.ndarray], object], chunks: tuple[int, int]) -> None:
        assert_gives(AnnData(dask_array(chunks, convert)), FLOAT)

    @pytest.mark.parametrize("name", ["counts.h5ad", "counts.zarr"])
    @pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix])
    def test_lazy(self, convert: Callable[[np.ndarray], object], name: str, tmp_path: Path) -> None:
        pytest.importorskip("xarray")
        adata = AnnData(convert(FLOAT))
        (adata.write_zarr if name.endswith("zarr") else adata.write_h5ad)(tmp_path / name)
        assert_gives(anndata.experimental.read_lazy(tmp_path / name), FLOAT)

    @pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix])
    def test_half_precision(self, kind: Callable[[np.ndarray], Any]) -> None:
        """As SnapATAC2 and others store counts; scipy holds such matrices, but cannot convert them."""
        X = kind(DENSE.astype(np.float32))
        X.data = X.data.astype(np.float16)
        assert_gives(AnnData(X), DENSE.astype(np.float16).astype(np.float32))

    def test_views(self) -> None:
        adata = AnnData(sp.csr_matrix(FLOAT))
        np.testing.assert_array_equal(joined(count_blocks(adata[::-1, 2:6], block_size=4)), FLOAT[::-1, 2:6])

    def test_layers(self) -> None:
        adata = AnnData(None, shape=DENSE.shape, layers={"raw": sp.csc_matrix(FLOAT), "twice": 2 * FLOAT})
        np.testing.assert_array_equal(joined(count_blocks(adata, "raw", block_size=5)), FLOAT)
        np.testing.assert_array_equal(counts(adata, "twice").toarray(), 2 * FLOAT)

    def test_csc_on_disk_is_announced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        AnnData(sp.csc_matrix(FLOAT)).write_h5ad(tmp_path / "counts.h5ad")
        said: list[str] = []
        monkeypatch.setattr(_counts.logg, "warning", said.append)
        adata = anndata.read_h5ad(tmp_path / "counts.h5ad", backed="r")
        count_blocks(adata)
        adata.file.close()
        assert len(said) == 1
        assert "CSC" in said[0]
        count_blocks(AnnData(sp.csc_matrix(FLOAT)))
        assert len(said) == 1

    def test_rows_on_disk_are_read_when_they_are_needed(self) -> None:
        da = pytest.importorskip("dask.array")
        computed: list[int] = []

        def read(block: np.ndarray, block_info: dict[int, dict[str, tuple[int, ...]]]) -> np.ndarray:
            computed.append(block_info[0]["chunk-location"][0])
            return block

        X = da.from_array(FLOAT, chunks=(5, 9)).map_blocks(read, dtype=np.float32, meta=np.zeros((0, 0), np.float32))
        blocks = count_blocks(AnnData(X), block_size=5)
        assert computed == []
        rows = iter(blocks)
        next(rows)
        next(rows)
        assert computed == [0, 1]


class TestClean:
    def test_duplicates_are_summed_and_zeros_dropped(self) -> None:
        stored = sp.csr_matrix(
            (np.array([1, 2, 0, 4], dtype=np.float32), [2, 2, 1, 0], [0, 3, 4]), shape=(2, 3), copy=True
        )
        adata = AnnData(stored)
        np.testing.assert_array_equal(joined(count_blocks(adata)), [[0, 0, 3], [4, 0, 0]])
        np.testing.assert_array_equal(joined(count_blocks(adata).binary()), [[0, 0, 1], [1, 0, 0]])
        assert counts(adata).nnz == 2

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
    def test_the_original_is_not_changed(self, dtype: str) -> None:
        stored = sp.csr_matrix((np.array([3, 2, 0, 4], dtype=dtype), [2, 1, 1, 0], [0, 3, 4]), shape=(2, 3))
        adata = AnnData(stored.copy())
        blocks = count_blocks(adata)
        onto = sp.csr_matrix(np.eye(3, dtype=np.float32))
        for _ in (*blocks, *blocks.binary(), *blocks.onto(onto), *blocks.widen(5), *blocks.above(blocks)):
            pass
        mine = counts(adata)
        mine.data[:] = 9
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(adata.X, name), getattr(stored, name))
        assert adata.X.dtype == dtype

    def test_binary_leaves_the_counts_as_they_are(self) -> None:
        blocks = count_blocks(AnnData(FLOAT), block_size=4)
        assert set(np.unique(joined(blocks.binary()))) == {0, 1}
        np.testing.assert_array_equal(joined(blocks), FLOAT)


class TestErrors:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
    @pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix])
    @pytest.mark.filterwarnings("ignore:overflow encountered in cast")
    def test_not_finite(self, value: float, convert: Callable[[np.ndarray], object]) -> None:
        bad = DENSE.astype(float)
        bad[20, 2] = value
        adata = AnnData(convert(bad))
        for call in (count_blocks, counts):
            with pytest.raises(ValueError, match="NaN or infinite"):
                call(adata)

    @pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix])
    def test_negative(self, convert: Callable[[np.ndarray], object]) -> None:
        bad = FLOAT.copy()
        bad[20, 2] = -1.5
        for call in (count_blocks, counts):
            with pytest.raises(ValueError, match=r"smallest -1\.5.*layer="):
                call(AnnData(convert(bad)))

    def test_on_disk_they_are_raised_as_they_are_read(self, tmp_path: Path) -> None:
        bad = FLOAT.copy()
        bad[20, 2] = -1
        AnnData(sp.csr_matrix(bad)).write_h5ad(tmp_path / "counts.h5ad")
        adata = anndata.read_h5ad(tmp_path / "counts.h5ad", backed="r")
        blocks = count_blocks(adata, block_size=10)
        for derived in (blocks, blocks.binary()):
            rows = iter(derived)
            next(rows)
            next(rows)
            with pytest.raises(ValueError, match="negative"):
                next(rows)
        with pytest.raises(ValueError, match="negative"):
            counts(adata)
        adata.file.close()

    def test_columns_beyond_the_peaks(self) -> None:
        adata = AnnData(sp.csr_matrix(FLOAT))
        adata.X.indices[3] = 1000
        for call in (count_blocks, counts):
            with pytest.raises(ValueError, match=r"damaged.* 1000 of a matrix of 9 peaks"):
                call(adata)

    def test_no_counts(self) -> None:
        for call in (count_blocks, counts):
            with pytest.raises(ValueError, match=r"\.X is None.*layer="):
                call(AnnData(None, shape=(3, 2)))

    def test_unknown_layer(self) -> None:
        adata = AnnData(FLOAT, layers={"raw": FLOAT})
        for call in (count_blocks, counts):
            with pytest.raises(KeyError, match=r"layers\['rwa'\].*raw"):
                call(adata, "rwa")


matrices = hnp.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.integers(0, 3))


class TestDerived:
    @given(matrices, st.integers(1, 10))
    @settings(max_examples=60, deadline=None)
    def test_any_block_size(self, X: np.ndarray, size: int) -> None:
        blocks = count_blocks(AnnData(sp.csr_matrix(X)), block_size=size)
        np.testing.assert_array_equal(joined(blocks), X)
        np.testing.assert_array_equal(joined(blocks.binary()), X > 0)
        wider = blocks.widen(X.shape[1] + 2)
        assert wider.shape == (len(X), X.shape[1] + 2)
        np.testing.assert_array_equal(joined(wider), np.pad(X, ((0, 0), (0, 2))))

    @given(matrices, st.integers(1, 10), st.data())
    @settings(max_examples=60, deadline=None)
    def test_onto_take_and_above(self, X: np.ndarray, size: int, data: st.DataObject) -> None:
        blocks = count_blocks(AnnData(sp.csr_matrix(X)), block_size=size)
        # To one peak each or, the last, to none; and in part, or to several.
        target = np.array(data.draw(st.lists(st.integers(0, 4), min_size=X.shape[1], max_size=X.shape[1])))
        assignment = np.eye(5, 4, dtype=np.float32)[target]
        for other in (assignment / 2, np.maximum(assignment, np.eye(5, 4, k=1, dtype=np.float32)[target])):
            np.testing.assert_array_equal(joined(blocks.onto(sp.csr_matrix(other))), X @ other)
        summed = blocks.onto(sp.csr_matrix(assignment))
        np.testing.assert_array_equal(joined(summed), X @ assignment)
        np.testing.assert_array_equal(joined(blocks), X)
        assert all(block.has_canonical_format for block in summed)
        np.testing.assert_array_equal(joined(summed.binary()), X @ assignment > 0)
        cells = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=len(X), max_size=len(X))))
        np.testing.assert_array_equal(joined(blocks.take(cells)), X[cells])
        # Blocks straddle the border; each part has had its own history.
        stacked = blocks.take(cells).binary().above(blocks)
        assert stacked.shape == (len(cells) + len(X), X.shape[1])
        np.testing.assert_array_equal(joined(stacked), np.vstack([X[cells] > 0, X]))
        again = stacked.above(blocks.take(cells))
        np.testing.assert_array_equal(joined(again), np.vstack([X[cells] > 0, X, X[cells]]))
        np.testing.assert_array_equal(joined(again.take(np.arange(0, again.shape[0], 2))), joined(again)[::2])

    def test_peaks_that_are_assigned_to_none_are_dropped(self) -> None:
        assignment = sp.csr_matrix((np.ones(2, dtype=np.float32), ([0, 3], [1, 1])), shape=(9, 2))
        summed = count_blocks(AnnData(FLOAT), block_size=4).onto(assignment)
        assert summed.shape == (23, 2)
        np.testing.assert_array_equal(joined(summed), np.stack([np.zeros(23), DENSE[:, 0] + DENSE[:, 3]], axis=1))

    def test_no_cells(self) -> None:
        none = count_blocks(AnnData(FLOAT)).take(np.zeros(0, dtype=np.intp))
        assert list(none) == []
        np.testing.assert_array_equal(joined(none.above(count_blocks(AnnData(FLOAT), block_size=5))), FLOAT)
        np.testing.assert_array_equal(joined(count_blocks(AnnData(FLOAT), block_size=5).above(none)), FLOAT)
        assert list(count_blocks(AnnData(FLOAT[:0]))) == []
        assert counts(AnnData(FLOAT[:0])).shape == (0, 9)

    def test_mixed_sources(self, tmp_path: Path) -> None:
        AnnData(sp.csr_matrix(FLOAT)).write_h5ad(tmp_path / "counts.h5ad")
        backed = anndata.read_h5ad(tmp_path / "counts.h5ad", backed="r")
        stacked = count_blocks(AnnData(FLOAT), block_size=6).take(SOME).above(count_blocks(backed))
        np.testing.assert_array_equal(joined(stacked), np.vstack([FLOAT[SOME], FLOAT]))
        backed.file.close()
