"""Read motifs: JASPAR's, those of a file, or what other packages hold them in."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ._motifs import BASES, Motif

JASPAR = "JASPAR2026"
"""Newest release that the lowest version of pyjaspar brings."""
_SITES = 20
"""Sites that probabilities are taken to come from where a source does not say: the MEME format has this default."""
_EXPECTED = (
    "expected a release of JASPAR such as 'JASPAR2026', the path of a file in MEME, JASPAR or TRANSFAC format, or a "
    "list of motifs of Bio.motifs"
)


def read_motifs(source: Any = None, *, tax_group: str = "vertebrates") -> list[Motif]:
    """Read binding motifs.

    Parameters
    ----------
    source
        Name of a release of JASPAR, whose CORE collection pyjaspar brings along (``None``: "JASPAR2026"); path of a
        file in MEME, JASPAR or TRANSFAC format; a list of motifs of ``Bio.motifs``, or of
        :class:`scllmda.genomics.Motif`; or a mapping of names to (4, L) arrays of counts or probabilities of A, C, G
        and T.
    tax_group
        Of JASPAR's motifs.

    Returns
    -------
    The motifs, in the order of the source.

    Raises
    ------
    ImportError
        pyjaspar or Biopython is not installed: ``pip install 'scllmda[motifs]'``.
    FileNotFoundError
        There is no such file.
    ValueError
        An unknown release or group, a file without motifs, ids that repeat, or values that are no counts.
    TypeError
        ``source`` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from scllmda.genomics import read_motifs
    >>> [motif.name for motif in read_motifs({"A box": np.eye(4)})]
    ['A box']
    """
    found = list(_read(JASPAR if source is None else source, tax_group))
    if not found:
        msg = f"Found no motif in motifs={source!r}; {_EXPECTED}."
        raise ValueError(msg)
    ids = [motif.id for motif in found]
    if len(set(ids)) < len(ids):
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        msg = f"{len(ids) - len(set(ids))} ids of motifs= repeat (first: {twice!r}); expected one motif of each id."
        raise ValueError(msg)
    return found


def _read(source: Any, tax_group: str) -> Iterator[Motif]:
    if isinstance(source, str) and re.fullmatch(r"(?i)jaspar\s?\d*", source):
        yield from _of_jaspar(source.upper().replace(" ", ""), tax_group)
    elif isinstance(source, str | PathLike):
        yield from _of_file(Path(source))
    elif isinstance(source, Mapping):
        yield from (_motif(str(name), str(name), values) for name, values in source.items())
    elif isinstance(source, Iterable) and not isinstance(source, np.ndarray | bytes):
        yield from (_of_object(item) for item in source)
    else:
        msg = f"Found motifs={source!r} ({type(source).__name__}); {_EXPECTED}."
        raise TypeError(msg)


def _of_jaspar(release: str, tax_group: str) -> Iterator[Motif]:
    try:
        import pyjaspar
    except ImportError as error:
        raise ImportError(_to_install("pyjaspar")) from error
    if release not in pyjaspar.jaspar_releases:
        msg = f"Found motifs={release!r}; releases of JASPAR that pyjaspar has are {sorted(pyjaspar.jaspar_releases)}."
        raise ValueError(msg)
    database = pyjaspar.jaspardb(release=release)
    with closing(database.conn), warnings.catch_warnings():
        # That there are none is said below.
        warnings.simplefilter("ignore")
        found = database.fetch_motifs(collection="CORE", tax_group=[tax_group])
    if not found:
        msg = (
            f"Found no motifs of tax_group={tax_group!r} in {release}; expected one of JASPAR's groups, such as "
            "'vertebrates', 'plants', 'insects', 'nematodes' or 'fungi'."
        )
        raise ValueError(msg)
    yield from (_of_object(motif) for motif in found)


def _of_object(item: Any) -> Motif:
    """Return a motif of another package as ours."""
    if isinstance(item, Motif):
        return item
    if not all(hasattr(item, name) for name in ("counts", "name")):
        msg = f"Found {item!r} ({type(item).__name__}) among motifs=; {_EXPECTED}."
        raise TypeError(msg)
    name = str(item.name or getattr(item, "matrix_id", "") or "")
    families = [str(family) for family in _listed(getattr(item, "tf_family", None))]
    return _motif(
        str(getattr(item, "matrix_id", None) or name),
        name,
        [item.counts[base] for base in BASES],
        tax_group=getattr(item, "tax_group", None) or None,
        family="; ".join(families) or None,
    )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _of_file(path: Path) -> Iterator[Motif]:
    path = path.expanduser()
    if not path.is_file():
        msg = f"Did not find the file motifs={str(path)!r}; {_EXPECTED}."
        raise FileNotFoundError(msg)
    text = path.read_text(encoding="utf-8", errors="replace")
    if text.lstrip().startswith("MEME version"):
        yield from _of_meme(text)
        return
    is_jaspar = text.lstrip().startswith(">")
    try:
        from Bio import motifs
    except ImportError as error:
        raise ImportError(_to_install("biopython")) from error
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            found = motifs.parse(lines, "jaspar") if is_jaspar else motifs.parse(lines, "transfac", strict=False)
    except Exception as error:  # Biopython raises whatever a line that it does not expect leads to.
        msg = f"Cannot read the motifs of {str(path)!r} ({error}); {_EXPECTED}."
        raise ValueError(msg) from error
    yield from (_of_object(motif) if is_jaspar else _of_transfac(motif) for motif in found)


def _of_transfac(item: Any) -> Motif:
    name = str(item.get("ID") or item.get("NA") or item.get("AC") or "")
    return _motif(str(item.get("AC") or name), name, [item.counts[base] for base in BASES])


def _of_meme(text: str) -> Iterator[Motif]:
    """Yield the motifs of a file in minimal MEME format. Biopython's reader rounds probabilities and drops names."""
    for part in re.split(r"(?m)^MOTIF\s+", text)[1:]:
        lines = iter(part.splitlines())
        title = next(lines).split()
        head = next((line for line in lines if line.startswith("letter-probability matrix")), "")
        sites = re.search(r"nsites=\s*([\d.]+)", head)
        rows = []
        for line in lines:
            if not re.fullmatch(r"\s*([-+.\deE]+\s+){3}[-+.\deE]+\s*", line):
                break
            rows.append([float(value) for value in line.split()])
        if not title or not rows:
            msg = f"Found the MEME motif {' '.join(title)!r} without a letter-probability matrix; expected one for DNA."
            raise ValueError(msg)
        n_sites = float(sites[1]) if sites and float(sites[1]) > 0 else _SITES
        yield _motif(title[0], title[-1], np.array(rows).T * n_sites)


def _motif(motif_id: str, name: str, values: Any, *, tax_group: str | None = None, family: str | None = None) -> Motif:
    """Return a motif; raise ValueError if its values are no counts or probabilities."""
    try:
        counts = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        counts = np.empty(0)
    if counts.ndim != 2 or counts.shape[0] != len(BASES) or not counts.shape[1] or not motif_id:
        msg = (
            f"The motif {motif_id!r} of motifs= has the shape {counts.shape}; expected a name and (4, length): counts "
            "or probabilities of A, C, G and T at each position."
        )
        raise ValueError(msg)
    total = counts.sum(axis=0)
    if not np.isfinite(counts).all() or (counts < 0).any() or (total <= 0).any():
        msg = (
            f"The motif {motif_id!r} of motifs= has values that are no counts of bases (from {counts.min():g} to "
            f"{counts.max():g}, sums from {total.min():g}); expected counts or probabilities, not scores."
        )
        raise ValueError(msg)
    # Of probabilities it is not known how many sites they are from.
    return Motif(motif_id, name, counts * _SITES if np.allclose(total, 1, atol=0.02) else counts, tax_group, family)


def _to_install(package: str) -> str:
    return (
        f"To read these motifs, expected the package {package}, which is not installed. Install it: "
        "pip install 'scllmda[motifs]'"
    )
