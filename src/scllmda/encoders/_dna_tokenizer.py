"""Any tokenizer that spells DNA, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..checkpoints import Checkpoint, first_line, read_tokenizer, refuse_tokenizer, shortened, special_ids
from ._neural import Tokens

TOKENIZER = "tokenizer.json"
VOCABULARIES = ("vocab.txt", "vocab.json")
FILES = (
    TOKENIZER,
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""What a tokenizer is made from. ``tokenizer.json`` alone says it all; the rest is for older ones."""

_MODEL = "the model"
_UNKNOWN_BASES = bytes.maketrans(
    bytes(range(256)), bytes(b if b in b"ACGT" else b - 32 if b in b"acgt" else ord("N") for b in range(256))
)
_CONTINUED = ("##", "Ġ", "▁")
"""What tokenizers put before a token for where in a word it is."""
# Some spell short words but call long ones unknown.
_TRIED = ("A", "C", "G", "T", "".join(np.random.default_rng(0).choice(list("ACGT"), 2000)))
_TRIED_UNKNOWN = "ACGTNACGTNNNACGTACGT"

Split = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True)
class DnaTokenizer:
    """A tokenizer that was tried with DNA.

    A function from sequences to tokens, made of what the tokenizer's files say. Lower case is read as upper case;
    whatever is not A, C, G or T is N where the tokenizer has a token for it, and cut out where not.
    """

    split: Split
    """Ids of the tokens of sequences, special ones included."""
    special: frozenset[int]
    """Ids that stand for no bases."""
    n_start: int
    """Special tokens before each sequence."""
    n_end: int
    """Special tokens after each sequence."""
    keeps_unknown: bool
    """Whether N is spelled."""
    empty: int
    """Id that stands for a sequence without tokens, where the tokenizer puts no special ones around it."""
    largest: tuple[str, int]
    """The token with the largest id."""

    def __call__(self, sequences: Sequence[str]) -> Tokens:
        """Return the tokens of sequences."""
        ids = [tokens or [self.empty] for tokens in self.split([self.clean(sequence) for sequence in sequences])]
        lengths = np.fromiter(map(len, ids), dtype=np.intp, count=len(ids))
        return Tokens(np.concatenate([np.asarray(tokens, dtype=np.int32) for tokens in ids]), lengths)

    def clean(self, sequence: str) -> str:
        """Return a sequence in the letters that the tokenizer spells."""
        known = sequence.encode("ascii", "replace").translate(_UNKNOWN_BASES)
        return (known if self.keeps_unknown else known.replace(b"N", b"")).decode()


def read_dna_tokenizer(checkpoint: Checkpoint) -> DnaTokenizer:
    """Return the tokenizer of a checkpoint.

    Parameters
    ----------
    checkpoint
        With those of ``FILES`` that there are.

    Raises
    ------
    FileNotFoundError
        There is no tokenizer.
    ValueError
        It cannot be used, or does not spell DNA.
    """
    if TOKENIZER in checkpoint.files:
        file = checkpoint.files[TOKENIZER]
        split, vocabulary, special = _from_tokenizers(file)
    else:
        file = checkpoint.place.first([TOKENIZER, *VOCABULARIES])
        split, vocabulary, special = _from_transformers(file)
    names = {i: name for name, i in vocabulary.items()}
    for sequence, ids in zip(_TRIED, split(_TRIED), strict=True):
        if not _spells(sequence, ids, names, special):
            found = f"splits {shortened(sequence)} into {shortened([names.get(i, i) for i in ids])}"
            _refuse(file, found, "tokens that spell the sequence, without overlap and without unknown ones")
    ids, longer = split(_TRIED[:1])[0], split([_TRIED_UNKNOWN])[0]
    n_start = next(place for place, i in enumerate(ids) if i not in special)
    return DnaTokenizer(
        split=split,
        special=frozenset(special),
        n_start=n_start,
        n_end=next(place for place, i in enumerate(reversed(ids)) if i not in special),
        keeps_unknown=_spells(_TRIED_UNKNOWN, longer, names, special),
        empty=min(special, default=0),
        largest=max(vocabulary.items(), key=lambda item: item[1]),
    )


def _spells(sequence: str, ids: list[int], names: dict[int, str], special: set[int]) -> bool:
    """Return whether what is between special tokens spells a sequence."""
    inner = [place for place, i in enumerate(ids) if i not in special]
    between = ids[inner[0] : inner[-1] + 1] if inner else []
    if any(i in special or i not in names for i in between):
        return False
    spelled = [names[i] for i in between]
    for mark in _CONTINUED:
        spelled = [token.removeprefix(mark) for token in spelled]
    return "".join(spelled).upper() == sequence


def _from_tokenizers(file: Path) -> tuple[Split, dict[str, int], set[int]]:
    """Return the function that splits, the vocabulary and the special ids of a ``tokenizer.json``."""
    tokenizer, _ = read_tokenizer(file, tried=_TRIED, model=_MODEL)
    unknown = getattr(tokenizer.model, "unk_token", None)
    special = set(special_ids(tokenizer).values())
    vocabulary = tokenizer.get_vocab()
    if unknown in vocabulary:
        special.add(vocabulary[unknown])
    if getattr(tokenizer.model, "dropout", None):
        _refuse(file, f"leaves out merges at random, dropout={tokenizer.model.dropout}", "dropout null")

    def split(sequences: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(sequences))]

    return split, vocabulary, special


def _from_transformers(file: Path) -> tuple[Split, dict[str, int], set[int]]:
    """Return the same of a vocabulary without ``tokenizer.json``, by the class that its configuration names."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, trust_remote_code=False, local_files_only=True)
        tokenizer.model_max_length = int(1e30)
        vocabulary = tokenizer.get_vocab()
        tokenizer(list(_TRIED))
    except Exception as error:  # what transformers raises for files it cannot use is nearly anything
        refuse_tokenizer(
            file, f"cannot be used ({first_line(error)})", "that of a stock tokenizer", model=_MODEL, error=error
        )

    def split(sequences: Sequence[str]) -> list[list[int]]:
        return tokenizer(list(sequences), padding=False, truncation=False, return_attention_mask=False)["input_ids"]

    return split, vocabulary, set(tokenizer.all_special_ids)


def _refuse(file: Path, found: str, expected: str) -> NoReturn:
    refuse_tokenizer(file, found, expected, model=_MODEL)
