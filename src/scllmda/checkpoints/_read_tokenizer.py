"""Tokenizers from ``tokenizer.json``, the file that the tokenizers library writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def read_tokenizer(file: Path, *, tried: Sequence[str], model: str) -> tuple[Tokenizer, list[Encoding]]:
    """Read a tokenizer that neither cuts nor pads, and try it.

    Parameters
    ----------
    file
        The ``tokenizer.json``.
    tried
        Sequences that it is tried with.
    model
        Whose tokenizer it is to be, for messages.

    Returns
    -------
    The tokenizer, and what it makes of each of the sequences tried.

    Raises
    ------
    ValueError
        It cannot be read, or fails on a sequence.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer, [tokenizer.encode(sequence) for sequence in tried]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's own have no class, and those it does not foresee are no Exception
        expected = "the file that the tokenizers library writes"
        refuse_tokenizer(file, f"cannot be used ({error})", expected, model=model, error=error)


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the id of each token that stands for no bases."""
    return {token.content: i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def refuse_tokenizer(
    file: Path, found: str, expected: str, *, model: str, error: BaseException | None = None
) -> NoReturn:
    """Raise ValueError for a file of a tokenizer, given what it has and what was expected."""
    msg = f"{file} {found}; expected {expected}. Pass source= a folder with the {file.name} of {model}."
    raise ValueError(msg) from error
