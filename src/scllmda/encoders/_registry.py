"""Every encoder that has a name. A new one is a new file and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import pandas as pd

from ._cnn import CnnEncoder
from ._dnabert2 import Dnabert2Encoder
from ._kmer import KmerEncoder
from ._nucleotide_transformer import HUB_REVISIONS, NucleotideTransformerEncoder
from ._protocol import PeakEncoder
from ._random import RandomEncoder
from ._transformers import TransformersEncoder


@dataclass(frozen=True)
class Entry:
    """A named encoder: how to make it, and what one should know before using it."""

    factory: Callable[..., PeakEncoder]
    description: str
    licence: str
    needs: str
    citation: str
    options: frozenset[str] = frozenset()
    """Options of `get` that the factory takes, as keywords."""


_WEIGHTS = frozenset({"source", "revision", "pooling", "device"})

ENCODERS: dict[str, Entry] = {
    "kmer": Entry(
        factory=KmerEncoder,
        description="canonical 5-mer spectrum (Hellinger), GC fraction, log length",
        licence="that of scllmda",
        needs="nothing",
        citation="Lee, Karchin & Beer 2011, Genome Research 21:2167",
    ),
    "random": Entry(
        factory=RandomEncoder,
        description="control: a standard normal vector per distinct sequence",
        licence="that of scllmda",
        needs="nothing",
        citation="",
    ),
    "cnn": Entry(
        factory=CnnEncoder,
        description="convolutional network trained on the object's own counts, 64 dimensions",
        licence="that of scllmda",
        needs="counts",
        citation="Yuan & Kelley 2022, Nature Methods 19:1088",
        options=frozenset({"device"}),
    ),
    "dnabert2": Entry(
        factory=Dnabert2Encoder,
        description="DNABERT-2, byte pairs, 135 genomes, 117 M parameters, 768 dimensions",
        licence="Apache-2.0",
        needs="weights from the Hugging Face hub (0.5 GB), or a local folder",
        citation="Zhou et al. 2024, ICLR, arXiv 2306.15006",
        options=_WEIGHTS,
    ),
    **{
        name: Entry(
            factory=partial(NucleotideTransformerEncoder, name),
            description=f"Nucleotide Transformer, 6-mers, {name.removeprefix('nucleotide-transformer-')}",
            licence="CC BY-NC-SA 4.0 (non-commercial)",
            needs="weights from the Hugging Face hub, or a local folder",
            citation="Dalla-Torre et al. 2025, Nature Methods 22:287",
            options=_WEIGHTS,
        )
        for name in HUB_REVISIONS
    },
    "transformers": Entry(
        factory=TransformersEncoder,
        description="any BERT, RoBERTa, ESM or ModernBERT of DNA that the classes of transformers load (source=)",
        licence="that of the weights",
        needs="source=: an id on the Hugging Face hub, or a local folder",
        citation="Wolf et al. 2020, EMNLP (System Demonstrations), 38; and the model's own",
        options=_WEIGHTS,
    ),
}

_INERT: dict[str, tuple[str | None, ...]] = {
    "source": (None,),
    "revision": (None,),
    "pooling": ("mean",),
}
"""Values that an encoder without the option may be given: they ask for nothing it does not do anyway."""


def get(
    name: str,
    *,
    source: str | None = None,
    revision: str | None = None,
    pooling: str = "mean",
    device: str = "auto",
) -> PeakEncoder:
    """Get an encoder by its name.

    Parameters
    ----------
    name
        One of the names in ``table()``.
    source
        Where the weights come from: a model id on the Hugging Face hub, or a local folder. None is the published one.
    revision
        Version of the weights on the hub. None is the commit pinned here, else the main branch.
    pooling
        How the vectors of a sequence's tokens become one.
    device
        "cpu", "cuda", …; "auto" takes a GPU when there is one.

    Returns
    -------
    The encoder, ready for ``.encode(sequences)``.

    Raises
    ------
    ValueError
        No encoder has that name, or the encoder has no such option.

    Examples
    --------
    >>> import scllmda as sl
    >>> sl.encoders.get("kmer").encode(["ACGTACGT"]).shape
    (1, 514)
    """
    if name not in ENCODERS:
        close = get_close_matches(str(name), ENCODERS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"Unknown encoder {name!r}, expected one of {sorted(ENCODERS)}.{hint} sl.get.encoders() describes them."
        raise ValueError(msg)
    entry = ENCODERS[name]
    given = {"source": source, "revision": revision, "pooling": pooling, "device": device}
    for option, value in given.items():
        # An encoder without networks runs on the CPU whatever the device of the rest.
        if option != "device" and option not in entry.options and value not in _INERT[option]:
            msg = (
                f"The encoder {name!r} has no option {option!r}, found {option}={value!r}; "
                f"expected {' or '.join(repr(v) for v in _INERT[option])}. Leave it out: sl.encoders.get({name!r})."
            )
            raise ValueError(msg)
    return entry.factory(**{option: given[option] for option in sorted(entry.options)})


def table() -> pd.DataFrame:
    """Return one row per encoder: description, licence, what it needs, options and citation."""
    return pd.DataFrame.from_dict(
        {
            name: {
                "description": entry.description,
                "licence": entry.licence,
                "needs": entry.needs,
                "options": ", ".join(sorted(entry.options)),
                "citation": entry.citation,
            }
            for name, entry in ENCODERS.items()
        },
        orient="index",
    ).rename_axis("name")
