from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def columns_of_their_own() -> Iterator[None]:
    """Let MuData objects that are made or updated not copy columns of their modalities to their own tables."""
    import mudata

    # What mudata 0.3 has to be told is what 0.4 does unless told otherwise, by a setting of another name.
    options = mudata.set_options if hasattr(mudata, "set_options") else mudata.settings.override
    with options(pull_on_update=False):
        yield
