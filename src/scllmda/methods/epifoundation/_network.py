"""The encoder of sets of peaks, and what follows it in pre-training and in training on labels or expression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from ...nn import MultiHeadAttention, TransformerLayer
from .._presets import OfRecipe

LONGER = 1.5
"""Times its own length to which a set is padded at most, so that sets are computed with together; of sets shorter than
``SHORT`` padding costs less than more computations do."""
SHORT = 64
"""Peaks."""
SCALE = 0.02
"""Standard deviation of embeddings before they are learned, as in BERT: so small, peaks that few cells open say nothing
until they have been learned of (ours)."""


@dataclass(frozen=True)
class Sizes(OfRecipe):
    """What the shape of an encoder depends on, besides its vocabulary."""

    n_dims: int
    n_layers: int
    n_heads: int
    n_hidden: int


def alike(lengths: torch.Tensor) -> list[torch.Tensor]:
    """Return groups of sets, by their positions, that are computed with together: from the longest on.

    Parameters
    ----------
    lengths
        (n,) of sets.
    """
    order = torch.argsort(lengths, descending=True, stable=True)
    groups: list[torch.Tensor] = []
    while len(order):
        longest = int(lengths[order[0]])
        n = len(order) if longest <= SHORT else int((lengths[order] * LONGER >= longest).sum())
        groups.append(order[:n])
        order = order[n:]
    return groups


class PeakSetEncoder(nn.Module):
    """From the open peaks of a cell to its vector: the state of [CLS] after layers of attention (eq. 2-6).

    A peak's token is the sum of an embedding of the peak and one of its chromosome; it has no position. What enters
    attention and feed-forward networks is normalized, and the state of [CLS] at the end (pre-LN; the paper does not say
    where. Of held-out cells of one donor of bone marrow the small network gets .72 right with it, and .66 with
    normalization after them; of cortex .44 and .36). Of the last layer only the state of [CLS] is computed, since
    nobody reads the others.
    """

    contig: torch.Tensor

    def __init__(self, contig: torch.Tensor, n_contigs: int, sizes: Sizes, *, dropout: float, recompute: bool) -> None:
        super().__init__()
        self.peaks = nn.Embedding(len(contig), sizes.n_dims)
        self.contigs = nn.Embedding(n_contigs, sizes.n_dims)
        self.cls = nn.Parameter(torch.empty(sizes.n_dims))
        # From a peak's id to its chromosome.
        self.register_buffer("contig", contig)
        for weight in (self.peaks.weight, self.contigs.weight, self.cls):
            nn.init.normal_(weight, std=SCALE)
        self.layers = nn.ModuleList(
            TransformerLayer(
                MultiHeadAttention(sizes.n_dims, sizes.n_heads),
                sizes.n_dims,
                sizes.n_hidden,
                dropout,
                norm_first=True,
                recompute=recompute,
            )
            for _ in range(sizes.n_layers)
        )
        self.norm = nn.LayerNorm(sizes.n_dims)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return (n, n_dims), the states of [CLS].

        Sets of like lengths are padded to the longest of them. Padding is not attended to, and a cell's vector does not
        depend on the cells that it is computed with.

        Parameters
        ----------
        ids
            (n_tokens,) peaks of all cells, one cell after the other; the order of a cell's peaks changes nothing.
        lengths
            (n,) number of each cell's peaks; on the CPU or on the device.
        """
        first = torch.cumsum(lengths, 0) - lengths
        groups = alike(lengths)
        found = [self._encode(ids, first[group], lengths[group]) for group in groups]
        order = torch.cat(groups)
        return torch.cat(found)[torch.argsort(order)]

    def _encode(self, ids: torch.Tensor, first: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the states of [CLS] (n, n_dims) of sets that begin at ``first`` among the ids."""
        at = torch.arange(int(lengths.max()), device=ids.device)
        is_peak = at < lengths[:, None]
        chosen = ids[torch.where(is_peak, first[:, None] + at, 0)] if len(ids) else ids.new_zeros(is_peak.shape)
        tokens = self.peaks(chosen) + self.contigs(self.contig[chosen])
        x = torch.cat([self.cls.expand(len(lengths), 1, -1), tokens], dim=1)
        # Without padding there is nothing to leave out.
        is_there = None if bool(is_peak.all()) else nn.functional.pad(is_peak, (1, 0), value=True)
        for layer in self.layers[:-1]:
            x = layer(x, is_there)
        return self.norm(self.layers[-1](x, is_there, n_first=1)[:, 0])


class GeneDecoder(nn.Module):
    """A number per cell and gene, from what is known of the cell and an embedding of the gene.

    It is a network with one hidden layer of GELU on both, one after the other in one vector (eq. 9 and 13; its width
    and depth are ours), and a number of each gene's own. What the hidden layer makes of the cell and of the gene is
    added, so that each is computed once.
    """

    def __init__(self, n_genes: int, n_cell: int, n_dims: int) -> None:
        super().__init__()
        self.genes = nn.Embedding(n_genes, n_dims)
        self.bias = nn.Parameter(torch.zeros(n_genes))
        self.of_cell = nn.Linear(n_cell, n_dims)
        self.of_gene = nn.Linear(n_dims, n_dims, bias=False)
        self.out = nn.Linear(n_dims, 1)

    def forward(self, cells: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Return (n_targets,).

        Parameters
        ----------
        cells
            (n, n_cell).
        at
            (n_targets, 2) cell and gene of each number.
        """
        hidden = self.of_cell(cells)[at[:, 0]] + self.of_gene(self.genes.weight)[at[:, 1]]
        return self.out(gelu(hidden)).squeeze(-1) + self.bias[at[:, 1]]

    def all(self, cells: torch.Tensor) -> torch.Tensor:
        """Return (n, n_genes), the numbers of all genes."""
        of_gene = self.of_gene(self.genes.weight)
        found = [self.out(gelu(cell + of_gene)).squeeze(-1) for cell in self.of_cell(cells)]
        return torch.stack(found) + self.bias


class AlignedGenes(nn.Module):
    """The encoder in pre-training, which is asked whether a cell expresses a gene (eq. 7-10).

    Parameters
    ----------
    encoder
        Of cells.
    n_genes
        Number of genes.
    n_batches
        Number of batches, each with an embedding beside the cell's vector; 0 for none.
    """

    def __init__(self, encoder: PeakSetEncoder, n_genes: int, n_batches: int) -> None:
        super().__init__()
        self.encoder = encoder
        n_dims = len(encoder.cls)
        self.batches = nn.Embedding(n_batches, n_dims) if n_batches else None
        self.decoder = GeneDecoder(n_genes, n_dims * (2 if n_batches else 1), n_dims)

    def forward(
        self, ids: torch.Tensor, lengths: torch.Tensor, batch: torch.Tensor, at: torch.Tensor, expressed: torch.Tensor
    ) -> torch.Tensor:
        """Return the cross-entropy, summed over all genes that are asked for.

        Parameters
        ----------
        ids, lengths
            See :class:`PeakSetEncoder`.
        batch
            (n,) batch of each cell.
        at
            (n_targets, 2) cell and gene that is asked for.
        expressed
            (n_targets,) 1 where the cell expresses it, else 0.
        """
        cells = self.encoder(ids, lengths)
        if self.batches is not None:
            cells = torch.cat([cells, self.batches(batch)], dim=1)
        logits = self.decoder(cells, at)
        return binary_cross_entropy_with_logits(logits.float(), expressed.float(), reduction="sum")

    def probability(self, cells: torch.Tensor) -> torch.Tensor:
        """Return (n, n_genes), the probability that cells (n, n_dims) express a gene, in a batch like the mean of all.

        Cells to be foretold are of no batch that the network knows: they get the mean of the embeddings of all batches.
        """
        if self.batches is not None:
            cells = torch.cat([cells, self.batches.weight.mean(dim=0).expand(len(cells), -1)], dim=1)
        return torch.sigmoid(self.decoder.all(cells))


class CellClassifier(nn.Module):
    """The encoder in training on labels: a network with one hidden layer on the state of [CLS] (eq. 11).

    The paper does not say more of it; the hidden layer is as wide as a token (ours).
    """

    def __init__(self, encoder: PeakSetEncoder, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        n_dims = len(encoder.cls)
        self.hidden = nn.Linear(n_dims, n_dims)
        self.classify = nn.Linear(n_dims, n_classes)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, n_classes), and the states of [CLS] (n, n_dims)."""
        cells = self.encoder(ids, lengths)
        return self.classify(gelu(self.hidden(cells))), cells


class ExpressionPredictor(nn.Module):
    """The encoder in training on expression: the level of each gene in a cell (eq. 13)."""

    def __init__(self, encoder: PeakSetEncoder, n_genes: int) -> None:
        super().__init__()
        self.encoder = encoder
        n_dims = len(encoder.cls)
        self.decoder = GeneDecoder(n_genes, n_dims, n_dims)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return (n, n_genes)."""
        return self.decoder.all(self.encoder(ids, lengths))
