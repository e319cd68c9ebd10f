from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def hand_over(figure: Figure, *, show: bool | None, return_fig: bool) -> Figure | list[Axes] | None:
    """Return the figure, or show it (by default as ``scanpy.settings.autoshow`` says), or return its axes."""
    import scanpy as sc
    from matplotlib import pyplot as plt

    if return_fig:
        plt.close(figure)
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return figure.axes
