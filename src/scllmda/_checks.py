"""One check of the types and ranges of all parameters, and of the constants of recipes."""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = ParamSpec("P")
R = TypeVar("R")
Recipe = TypeVar("Recipe", bound="DataclassInstance")


@dataclass(frozen=True)
class _Range:
    """What a number may be."""

    text: str
    holds: Callable[[Any], bool]


_POSITIVE = _Range("a positive number", lambda x: x >= 1)
_ABOVE_0 = _Range("a number above 0", lambda x: x > 0)
_FROM_0 = _Range("a number of at least 0", lambda x: x >= 0)
_SHARE = _Range("a share between 0 and 1", lambda x: 0 <= x <= 1)
_BETWEEN = _Range("a share above 0 and below 1", lambda x: 0 < x < 1)
_BELOW_1 = _Range("a share of at least 0 and below 1", lambda x: 0 <= x < 1)
_SEVERAL = _Range("a number of at least 2", lambda x: x >= 2)
_ANY = _Range("a finite number", lambda _: True)

_NAMES = {
    _POSITIVE: "n_latent n_neighbors n_epochs block_size batch_size window n_bins n_dims n_components n_iterations "
    "fewest_cells n_hidden n_out n_discriminator rate_epochs mmd_draws mmd_cells widths cell_hidden cell_batch_size "
    "cell_epochs bin_size n_islands n_values n_layers n_heads n_projected decay_epochs accumulate patience "
    "pretrain_epochs min_steps max_peaks most_reference n_genes n_peaks flank norm_width smooth n_motifs",
    _SEVERAL: "n_folds",
    _ABOVE_0: "size C C_pooled lr lr_decay cell_lr adversary_lr mmd_lr large_shift",
    _FROM_0: "rng prior enough theta domain_weight max_rate adversary_weight adversary_weight_decay mmd_weight "
    "mmd_weight_decay n_propagations upstream min_fragments",
    _SHARE: "max_false_rejection min_probability min_overlap restart rare alone worth balance balance_pooled "
    "shift_quantile max_depth_correlation min_open mask_share replace_share fdr max_error p_value",
    _ANY: "min_log2fc",
    _BETWEEN: "set_coverage",
    _BELOW_1: "held_out dropout cell_dropout adversary_momentum warmup",
}
RANGES = {name: allowed for allowed, names in _NAMES.items() for name in names.split()}
"""What numbers may be, by the name of the parameter or constant: one name means the same everywhere."""

_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", lambda x: isinstance(x, Integral) and not _is_bool(x)),
    "float": ("a number", lambda x: _is_number(x)),
    "bool": ("True or False", lambda x: _is_bool(x)),
    "str": ("text", lambda x: isinstance(x, str)),
    "None": ("None", lambda x: x is None),
    "PathLike[str]": ("a path", lambda x: isinstance(x, PathLike)),
    "Sequence[str]": ("a list of text", lambda x: _is_list(x) and all(isinstance(item, str) for item in x)),
    "Sequence[int]": ("a list of whole numbers", lambda x: _is_list(x) and all(isinstance(i, Integral) for i in x)),
    "tuple[int, ...]": ("whole numbers", lambda x: _is_list(x) and len(x) > 0 and all(_KINDS["int"][1](i) for i in x)),
    "Mapping[str, Any]": ("a dictionary", lambda x: isinstance(x, Mapping)),
    "np.random.Generator": ("a numpy.random.Generator", lambda x: isinstance(x, np.random.Generator)),
}
"""By annotation: what it stands for, in words, and whether a value is of the kind."""
_NUMERIC = {"int", "float", "tuple[int, ...]"}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the parameters of a public function, by their annotations and names, before it is called.

    Raises
    ------
    TypeError
        A parameter is of another type; the message names it.
    ValueError
        A number is NaN, infinite or out of its range, or a device unusable.
    """
    signature = inspect.signature(function)
    annotations = {name: str(parameter.annotation) for name, parameter in signature.parameters.items()}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # A call that does not fit the signature gets Python's own error.
        values = signature.bind(*args, **kwargs).arguments
        check(values, annotations)
        return function(*args, **kwargs)

    return call


def make(recipe: type[Recipe], overrides: Mapping[str, Any] | None, what: str) -> Recipe:
    """Return a recipe, a frozen dataclass of constants, with some of them replaced.

    Parameters
    ----------
    recipe
        Class.
    overrides
        Constants by name.
    what
        Whose recipe it is, for messages.

    Raises
    ------
    TypeError, ValueError
        A name is not one of the recipe's, or a value is of another type or out of its range.
    """
    overrides = dict(overrides or {})
    annotations = {field.name: str(field.type) for field in fields(recipe)}
    if unknown := sorted(set(map(str, overrides)) - set(annotations)):
        msg = f"{what} has no {unknown} in its recipe; it has {list(annotations)}."
        raise ValueError(msg)
    check(overrides, annotations, f" in the recipe of {what}")
    # Lists as files hold them are taken for tuples.
    return recipe(**{name: tuple(value) if _is_list(value) else value for name, value in overrides.items()})


def check(values: Mapping[str, Any], annotations: Mapping[str, str], where: str = "") -> None:
    """Raise TypeError or ValueError where a value is not what its annotation and name say."""
    for name, value in values.items():
        kinds = annotations[name].split(" | ")
        if kinds[0].startswith("Literal["):
            _require_choice(name, value, kinds[0], where)
            continue
        known = [_KINDS[kind] for kind in kinds if kind in _KINDS]
        # Objects and other choices are for the function to look at.
        if len(known) == len(kinds) and not any(is_kind(value) for _, is_kind in known):
            expected = " or ".join(text for text, _ in known)
            msg = f"Found {name}={value!r} ({type(value).__name__}){where}; expected {expected}."
            raise TypeError(msg)
        if set(kinds) & _NUMERIC:
            _require_range(name, value, where)
        if name == "device":
            require_device(value)
        if name == "key_added" and value is not None and (not value or "/" in value):
            msg = (
                f"The slot name {value!r} is empty or has a '/', which files cannot hold. Pass key_added= another one."
            )
            raise ValueError(msg)


def _require_choice(name: str, value: Any, annotation: str, where: str) -> None:
    choices = ast.literal_eval(annotation.removeprefix("Literal"))
    if not isinstance(value, str) or value not in choices:
        msg = f"Found {name}={value!r}{where}; expected one of {choices}."
        raise ValueError(msg)


def require_device(device: str) -> None:
    """Raise ValueError if there is no such torch device here."""
    if device in ("auto", "cpu"):
        return
    import torch

    try:
        # Something has to be put there: torch knows names of devices that are not there.
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        msg = (
            f"Found device={device!r}, which torch cannot use here ({str(error).splitlines()[0]}); expected 'auto', "
            "'cpu', or a GPU that is there, such as 'cuda'."
        )
        raise ValueError(msg) from error


def _require_range(name: str, value: Any, where: str) -> None:
    numbers = [item for item in (value if _is_list(value) else [value]) if _is_number(item)]
    allowed = RANGES.get(name, _ANY)
    for number in numbers:
        if not math.isfinite(number) or not allowed.holds(number):
            msg = f"Found {name}={value!r}{where}; expected {allowed.text}."
            raise ValueError(msg)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not _is_bool(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
