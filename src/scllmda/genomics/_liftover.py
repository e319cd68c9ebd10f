"""Intervals of one genome build in the coordinates of another.

Own code, because a call for each base is what other libraries offer: 100,000 intervals of hg19 (90,589 of them real
peaks) take .05 s of CPU time here, .40 s with pyliftover 0.4.1 and .15 s with the compiled liftover 1.5.0, after .05,
.42 and .01 s for reading the chains (hg38 to hg19: .09, .45 and .07 s after .45, 1.71 and .07 s). All three give the
same intervals, 99,216 and 92,729, to the base. The compiled library reads chains faster, at the price of a dependency.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._builds import build_of_lengths
from ._intervals import Intervals
from ._overlap import line_up, points_inside

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt

_MOST_STRETCHED = 2
"""Factor by which an interval may become wider or narrower. Of 90,589 peaks of hg19, 90,537 can be lifted to hg38 if
any width is allowed, and 90,227 keep theirs; with a factor of 1.2, 2 and 4, 90,520, 90,532 and 90,533 are lifted."""
_GZIP_MAGIC = b"\x1f\x8b"
# Of a header: chain score tName tSize tStrand tStart tEnd qName qSize qStrand qStart qEnd id; some files have no id.
_N_HEADER_FIELDS = 11


@dataclass(frozen=True, eq=False)
class Chains:
    """The n ungapped blocks of a chain file, from one genome build to another.

    Parameters
    ----------
    source
        The blocks in the build that is lifted from, n intervals.
    contig
        Contig of each block in the other build, shape (n,).
    first
        Where the first base of each block goes, counted from 0 on the forward strand, shape (n,).
    step
        1 where the bases that follow go to higher positions, -1 where to lower ones (reverse strand), shape (n,).
    score
        Score of the chain that each block is of, shape (n,).
    builds
        UCSC's names of the build that is lifted from and of the other one, by the lengths of their chromosomes 1; None
        for one that is not among the known ones.
    """

    source: Intervals
    contig: npt.NDArray[np.str_]
    first: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    builds: tuple[str | None, str | None] = (None, None)


def read_chains(path: str | PathLike[str]) -> Chains:
    """Read a UCSC chain file.

    Parameters
    ----------
    path
        Chain file, plain or gzipped, such as ``hg19ToHg38.over.chain.gz``. The format is described at
        https://genome.ucsc.edu/goldenPath/help/chain.html; what it calls target is the build to lift from.

    Returns
    -------
    The blocks, in the order of the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It holds no chains, or a broken one.
    """
    if not Path(path).is_file():
        msg = f"Found no file {str(path)!r}; expected a UCSC chain file, such as hg19ToHg38.over.chain.gz."
        raise FileNotFoundError(msg)
    text = Path(path).read_bytes()
    if text.startswith(_GZIP_MAGIC):
        try:
            text = gzip.decompress(text)
        except (OSError, EOFError, zlib.error) as error:
            msg = f"Cannot decompress {str(path)!r} ({error}); expected a UCSC chain file. Download it again."
            raise ValueError(msg) from error
    text = re.sub(rb"^#.*$", b"", text, flags=re.MULTILINE)
    before, *chains = re.split(rb"^chain[ \t]", text, flags=re.MULTILINE)
    if before.strip() or not chains:
        line = text.lstrip().split(b"\n", 1)[0][:80].decode("utf-8", "replace").rstrip()
        msg = (
            f"{str(path)!r} is no chain file: its first line is {line!r}; expected 'chain' and what follows it, "
            "as in hg19ToHg38.over.chain.gz from UCSC."
        )
        raise ValueError(msg)
    try:
        contig, length, start, end, to, other_length, first, step, score = zip(*map(_blocks, chains), strict=True)
        n_blocks = [len(starts) for starts in start]
        source = Intervals(np.repeat(contig, n_blocks), np.concatenate(start), np.concatenate(end))
    except ValueError as error:
        msg = f"{str(path)!r} holds a broken chain. {error} Download the file again."
        raise ValueError(msg) from error
    return Chains(
        source,
        np.repeat(to, n_blocks),
        np.concatenate(first),
        np.repeat(step, n_blocks),
        np.repeat(score, n_blocks),
        (
            build_of_lengths(dict(zip(contig, length, strict=True))),
            build_of_lengths(dict(zip(to, other_length, strict=True))),
        ),
    )


def _blocks(
    chain: bytes,
) -> tuple[str, int, npt.NDArray[np.int64], npt.NDArray[np.int64], str, int, npt.NDArray[np.int64], int, float]:
    """Return a chain's contig and its length, starts and ends; those of the other build, first bases, step; score."""
    header, _, body = chain.partition(b"\n")
    fields = header.decode().split()
    name = f"'chain {' '.join(fields)}'"
    if len(fields) < _N_HEADER_FIELDS:
        msg = f"Found {name}; expected at least {_N_HEADER_FIELDS} values after 'chain'."
        raise ValueError(msg)
    score, source, source_size, source_strand, start, stop, *other = fields[:_N_HEADER_FIELDS]
    target, target_size, strand, target_start, target_stop = other
    if source_strand != "+" or strand not in {"+", "-"}:
        msg = f"Found the strands {source_strand!r} and {strand!r} in {name}; expected '+' and '+' or '-'."
        raise ValueError(msg)
    # The last line has a size only, the others also the gaps that follow in either build.
    numbers = np.array([*body.split(), b"0", b"0"]).astype(np.int64)
    if len(numbers) % 3:
        msg = f"Found {len(numbers) - 2} numbers after {name}; expected three a line and one in the last line."
        raise ValueError(msg)
    size, gap, target_gap = numbers.reshape(-1, 3).T
    starts = int(start) + np.cumsum(size + gap) - (size + gap)
    first = int(target_start) + np.cumsum(size + target_gap) - (size + target_gap)
    ends = starts[-1] + size[-1], first[-1] + size[-1]
    if ends != (int(stop), int(target_stop)) or int(target_stop) > int(target_size):
        msg = f"The blocks of {name} end at {ends[0]} and {ends[1]}; expected {stop} and {target_stop}, in the contig."
        raise ValueError(msg)
    if strand == "-":
        # Positions count from the end of the contig.
        first = int(target_size) - 1 - first
    forward = 1 if strand == "+" else -1
    return source, int(source_size), starts, starts + size, target, int(target_size), first, forward, float(score)


def lift_over(intervals: Intervals, chains: Chains) -> tuple[Intervals, npt.NDArray[np.intp]]:
    r"""Lift intervals over to another genome build.

    The first and the last base of each interval are lifted, by the chain with the highest score where several cover a
    base. An interval is dropped if either base is in no chain, if they go to different contigs or strands, or if it
    would become more than twice as wide or less than half: what lies between is then no longer the same.

    Parameters
    ----------
    intervals
        n intervals, in any order. ``chr1`` and ``1`` are the same contig, as are ``chrM`` and ``MT``.
    chains
        From the build of the intervals to the other one.

    Returns
    -------
    The k intervals that could be lifted, on contigs named as in the chain file, and the index of each among those
    given, shape (k,).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scllmda.genomics import Intervals, lift_over, read_chains
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "aToB.over.chain")
    ...     _ = file.write_text("chain 1 chr1 1000 + 100 300 chr1 2000 - 500 700 1\n200\n")
    ...     chains = read_chains(file)
    >>> lifted, given = lift_over(Intervals.from_names(["chr1:0-50", "chr1:100-150"]), chains)
    >>> lifted.names().tolist(), given.tolist()
    (['chr1:1450-1500'], [1])
    """
    bases = np.concatenate([intervals.start, intervals.end - 1])
    block = _best_block(Intervals(np.tile(intervals.chrom, 2), bases, bases + 1), chains)
    position = chains.first[block] + chains.step[block] * (bases - chains.source.start[block])
    (block_of_start, block_of_end), (first, last) = block.reshape(2, -1), position.reshape(2, -1)
    step = chains.step[block_of_start]
    width = step * (last - first) + 1
    kept = np.flatnonzero(
        (block_of_start >= 0)
        & (block_of_end >= 0)
        & (chains.contig[block_of_start] == chains.contig[block_of_end])
        & (step == chains.step[block_of_end])
        & (width <= _MOST_STRETCHED * intervals.width)
        & (_MOST_STRETCHED * width >= intervals.width)
    )
    contig = chains.contig[block_of_start[kept]]
    return Intervals(contig, np.minimum(first, last)[kept], np.maximum(first, last)[kept] + 1), kept


def _best_block(bases: Intervals, chains: Chains) -> npt.NDArray[np.int64]:
    """Return the block of the best chain that covers each base, -1 where there is none."""
    base_start, block_start = line_up(bases, chains.source)
    block, base = points_inside(block_start, block_start + chains.source.width, base_start)
    best_first = np.lexsort((block, -chains.score[block], base))
    covered, first = np.unique(base[best_first], return_index=True)
    best = np.full(len(bases), -1, dtype=np.int64)
    best[covered] = block[best_first][first]
    return best
