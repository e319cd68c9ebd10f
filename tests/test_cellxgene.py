"""Annotated objects open in the CELLxGENE Explorer: what it asks of a file, on the file that the page writes."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from tests._objects import pair
from tests.docs._pages import python_of

IDS = {"B": "CL:0000236", "CD4 T": "CL:0000624", "CD8 T": "CL:0000625", "Plasma": "CL:0000786"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the file that the page writes, annotated with ids, and that of CELLxGENE's own names."""
    import scllmda as sl

    folder = tmp_path_factory.mktemp("cellxgene")
    reference, adata = pair(sequence=True)
    del adata.obs["cell_type"]
    reference.obs["cell_type_ontology_term_id"] = reference.obs["cell_type"].astype(str).map(IDS)
    options = {"ontology_key": "cell_type_ontology_term_id", "max_false_rejection": 0.2}
    sl.tl.annotate(adata, reference, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        page = {"adata": adata, "reference": reference, "sl": sl}
        for block in python_of("cellxgene.md"):
            exec(block, page)
    adata.write_h5ad(folder / "named.h5ad")
    return folder


def test_maps_can_be_drawn(folder: Path) -> None:
    adata = ad.read_h5ad(folder / "annotated.h5ad")
    assert adata.obsm["X_umap"].shape == (adata.n_obs, 2)
    for name in (name for name in adata.obsm if name.startswith("X_")):
        assert type(adata.obsm[name]) is np.ndarray
        assert adata.obsm[name].dtype.kind == "f"
        assert np.isfinite(adata.obsm[name]).all()


@pytest.mark.parametrize("table", ["obs", "var"])
def test_columns_are_of_kinds_that_it_knows(folder: Path, table: str) -> None:
    adata = ad.read_h5ad(folder / "annotated.h5ad")
    columns = getattr(adata, table)
    assert columns.index.is_unique
    assert columns.columns.is_unique
    for name in columns:
        values = columns[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            assert all(isinstance(category, str) for category in values.cat.categories)
        elif values.dtype.kind in "iu":
            assert values.abs().max() < 2**31
        else:
            assert values.dtype.kind in "bf" or pd.api.types.is_string_dtype(values)
    assert adata.X.dtype == np.float32


def test_older_readers_know_every_element(folder: Path) -> None:
    """Its anndata is older than what writes here: strings are not to be of the nullable kind, for one."""
    known = {"", "anndata", "array", "categorical", "csr_matrix", "dataframe", "dict", "numeric-scalar", "string"}
    with h5py.File(folder / "annotated.h5ad") as file:
        found = {str(file.attrs["encoding-type"])}
        file.visititems(lambda _, item: found.add(str(item.attrs.get("encoding-type", ""))))
    assert found <= known | {"string-array"}


def test_names_of_its_schema(folder: Path) -> None:
    obs = ad.read_h5ad(folder / "named.h5ad").obs
    ids = {**IDS, "Unassigned": "unknown"}
    assert (obs["cell_type"] == "Unassigned").any()
    assert obs["cell_type_ontology_term_id"].tolist() == [ids[label] for label in obs["cell_type"]]
