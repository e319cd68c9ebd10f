"""Torch modules and training loops that published systems and encoders share.

Holds the DNA networks, the network from peak embeddings to cells, what networks share that align two domains, and the
blocks that language models over peaks share. A network that one system alone has lives in that system's folder. Torch
only: no AnnData, no files.
"""

from __future__ import annotations

from ._attention import MultiHeadAttention
from ._cell_network import CellNetwork, CellNetworkRecipe, train_cell_network
from ._device import pick_device
from ._domain_adaptation import Domain, descend, read_out, reverse_gradient
from ._linformer import LinformerAttention
from ._mosaic_bert import MosaicBert
from ._nucleotide_transformer import NucleotideTransformer
from ._positioned_values import PositionedValues
from ._sequence_cnn import CnnRecipe, SequenceCnn, predict_sequence_cnn, train_sequence_cnn
from ._transformer import TransformerLayer

__all__ = [
    "CellNetwork",
    "CellNetworkRecipe",
    "CnnRecipe",
    "Domain",
    "LinformerAttention",
    "MosaicBert",
    "MultiHeadAttention",
    "NucleotideTransformer",
    "PositionedValues",
    "SequenceCnn",
    "TransformerLayer",
    "descend",
    "pick_device",
    "predict_sequence_cnn",
    "read_out",
    "reverse_gradient",
    "train_cell_network",
    "train_sequence_cnn",
]
