"""Options made from the signature and the docstring of a public function, so that they are the same by construction."""

from __future__ import annotations

import ast
import inspect
import json
import re
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ._command import path

NOT_OPTIONS = {"copy", "show", "return_fig"}
"""Parameters for those who hold an object: a command writes a new file."""
ALSO_CALLED = {"rng": ["--seed"]}
"""Other names of options, by parameter."""
SAID = {
    "client": "address of a Dask scheduler whose workers take part, such as tcp://localhost:8786",
    "rng": "seed; the same gives the same bytes",
    "barcodes": "cells, a barcode per line, or a table of Cell Ranger with the called cells (singlecell.csv, "
    "per_barcode_metrics.csv); barcode-sample where there are several files. Without: all with --min-fragments",
    "min_fragments": "smallest number of fragments of a cell, counted on the contigs of the peaks (default: 100, or 0 "
    "with --barcodes)",
}
"""What to say of parameters, whatever the function, whose docstrings speak of Python."""
IS_PATH = {"genome"}
"""Parameters that take a path, and objects that are no path."""


def add_parameters(
    parser: ArgumentParser | _ArgumentGroup,
    function: Callable[..., Any],
    *,
    but: Collection[str],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Add an option for each parameter of a function, with its default and the first sentence said of it.

    Parameters
    ----------
    parser
        Where to add them.
    function
        Public function.
    but
        Parameters that the command has by itself.
    texts
        What to say of parameters instead.
    """
    said = {**documented(function), **SAID, **(texts or {})}
    for parameter in parameters(function, but):
        option = f"--{parameter.name.replace('_', '-')}"
        settings = _settings(parameter)
        text = said.get(parameter.name, "")
        if parameter.default not in (None, False):
            text = f"{text} (default: {parameter.default})"
        parser.add_argument(
            option,
            *ALSO_CALLED.get(parameter.name, []),
            dest=parameter.name,
            default=parameter.default,
            help=text.replace("%", "%%"),
            **settings,
        )


def parameters(function: Callable[..., Any], but: Collection[str]) -> list[inspect.Parameter]:
    """Return the parameters that are options."""
    found = inspect.signature(function).parameters.values()
    return [parameter for parameter in found if parameter.name not in NOT_OPTIONS and parameter.name not in but]


def values(options: Namespace, function: Callable[..., Any], *, but: Collection[str]) -> dict[str, Any]:
    """Return what was given for the parameters of a function, to call it with; raise where it would refuse a value."""
    from .._checks import check

    found = parameters(function, but)
    given = {parameter.name: getattr(options, parameter.name) for parameter in found}
    check(given, {parameter.name: str(parameter.annotation) for parameter in found})
    return given


def several(given: Any) -> list[Any]:
    """Return what an option of one value or several holds, as a list: empty where it was not given."""
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def documented(function: Callable[..., Any]) -> dict[str, str]:
    """Return the first sentence that a numpy docstring says of each parameter, as plain text."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", inspect.getdoc(function) or "", re.S | re.M)
    parts = re.split(r"^(\w+)\n", section[1] if section else "", flags=re.M)
    names = parts[1::2]
    return {name: _first_sentence(text, names) for name, text in zip(names, parts[2::2], strict=True)}


def _first_sentence(text: str, names: Collection[str]) -> str:
    """Return it as the help of an option: plain text, without the capital and the period; parameters are options."""
    text = re.sub(r"``(\w+)``", lambda m: f"--{m[1].replace('_', '-')}" if m[1] in names else m[1], text)
    plain = re.sub(r":\w+:`~?([^`]*)`", r"\1", " ".join(text.split())).replace("`", "")
    sentence = (
        re.split(r"(?<=\.)\s+(?=[A-Z\"])", plain, maxsplit=1)[0].removesuffix(".").replace("if None", "by default")
    )
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def _settings(parameter: inspect.Parameter) -> dict[str, Any]:
    """Return how argparse reads a parameter, by its annotation."""
    kind = str(parameter.annotation)
    kinds = set(kind.split(" | "))
    if kind.startswith("Literal["):
        return {"choices": ast.literal_eval(kind.removeprefix("Literal"))}
    if kinds == {"bool"}:
        return {"action": "store_true"}
    if "bool" in kinds:
        return {"nargs": "?", "const": True, "metavar": "NAME"}
    if "Mapping[str, Any]" in kinds:
        return {"nargs": "+", "action": Constants, "type": constants, "metavar": "KEY=VALUE"}
    if "PathLike[str]" in kinds or parameter.name in IS_PATH:
        return {"type": path, "metavar": "PATH"}
    if "Sequence[str]" in kinds:
        return {"nargs": "+", "action": OneOrSeveral, "metavar": "NAME"}
    if numbers := [number for name, number in (("float", float), ("int", int)) if name in kinds]:
        read = numbers[0]
        return {"type": _or_none(read) if parameter.default is not None and "None" in kinds else read, "metavar": "N"}
    return {"metavar": "ADDRESS" if parameter.name == "client" else "NAME"}


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        return None if text == "none" else read(text)

    return number


def constants(text: str) -> dict[str, Any]:
    """Return the constants of a recipe: KEY=VALUE, where a value that is no JSON is text; or a JSON object."""
    key, is_pair, value = text.partition("=")
    if is_pair and not text.lstrip().startswith("{"):
        try:
            return {key: json.loads(value)}
        except json.JSONDecodeError:
            return {key: value}
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        msg = f"found {text!r}; expected KEY=VALUE or a JSON object such as '{{\"n_dims\": 32}}'"
        raise ArgumentTypeError(msg)
    return found


class Constants(Action):
    """Constants from all places where they are given."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: Any = None) -> None:
        """Add some."""
        found = dict(getattr(namespace, self.dest) or {})
        for given in values:
            found |= given
        setattr(namespace, self.dest, found)


class OneOrSeveral(Action):
    """One value as it is, several as a list."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: Any = None) -> None:
        """Keep them."""
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)
