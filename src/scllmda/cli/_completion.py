"""``scllmda completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._command import Command, path

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

SHELLS = ("bash", "zsh", "fish")
DESCRIPTION = """\
Print what a shell needs to complete commands, options and paths. Write it where the shell looks:

  bash  scllmda completion bash > ~/.local/share/bash-completion/completions/scllmda
  zsh   scllmda completion zsh > ~/.zfunc/_scllmda      (fpath+=~/.zfunc before compinit in ~/.zshrc)
  fish  scllmda completion fish > ~/.config/fish/completions/scllmda.fish"""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=SHELLS)


def run(options: Namespace) -> None:
    """Print the script."""
    import shtab

    from ._parser import COMMANDS, make_parser

    parser = make_parser(COMMANDS)
    for action in _actions(parser):
        if action.type is path:
            action.complete = shtab.FILE
    print(shtab.complete(parser, options.shell))


def _actions(parser: ArgumentParser) -> list[Any]:
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action.choices, dict):
            found += [inner for sub in action.choices.values() for inner in _actions(sub)]
    return found


COMMAND = Command("completion", "print completions for a shell", DESCRIPTION, add_options, run)
