"""The figure of the landing page: `python benchmarks/landing_figure.py FOLDER`, by hand, a minute.

Bone marrow of a donor labeled from another's, coarse types: what the reference says, what was predicted, what is true
and how sure the predictions are, on one map. The task of `annotation.py` by the same name has the scores of this run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
from _annotation_tasks import LABELS, TASKS
from matplotlib import pyplot as plt

import scllmda as sl

TASK = "granja-coarse D6T1→D5T1"
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "transfer_bone_marrow.png"
PANELS = ("reference labels", "predicted labels", "true labels", "confidence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    options = parser.parse_args()
    pair = TASKS[TASK].make(options.data, 0)
    query = pair.query
    sl.tl.annotate(query, pair.reference)
    query.obs[LABELS] = pair.truth  # after the annotation, which could not have seen it
    mpl.rcParams["font.size"] = 13
    _, axes = plt.subplots(2, 2, figsize=(11, 8.4), layout="constrained")
    sl.pl.transfer_umap(query, truth=LABELS, panels=PANELS, axes=list(axes.flat), show=False)
    plt.savefig(FIGURE, dpi=110, metadata={"Software": None}, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
