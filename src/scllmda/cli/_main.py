"""From arguments to an exit status."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from ._advice import for_command_line
from ._parser import make_parser
from ._signals import Signalled, signals_raise

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    Exit status: 0, 1 after an error, 128 and its number after a signal. A wrong call ends with 2, as argparse does.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = None
    try:
        with signals_raise():
            options = make_parser(arguments[:1]).parse_args(arguments)
            _set_verbosity(options)
            options.run(options)
            sys.stdout.flush()
            return 0
    except KeyboardInterrupt:
        return _end("interrupted", 128 + signal.SIGINT)
    except Signalled as error:
        return _end(f"ended by {error.signal.name}", 128 + error.signal)
    except BrokenPipeError:
        # Whoever read the output, as `head` does, had enough. What is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (ImportError, KeyError, MemoryError, OSError, TypeError, ValueError) as error:
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        text = for_command_line(" ".join(text.split()), vars(options) if options else ())
        return _end(f"error: {text or type(error).__name__}", 1)


def _set_verbosity(options: Namespace) -> None:
    if options.verbosity is not None:
        import scanpy as sc

        sc.settings.verbosity = options.verbosity
        # It says at each writing which texts it stores as categories.
        logging.getLogger("anndata").setLevel(logging.WARNING)


def _end(message: str, status: int) -> int:
    print(f"scllmda: {message}", file=sys.stderr)
    return status
