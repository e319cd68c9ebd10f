"""Where the files of a checkpoint are: in a folder, or on the Hugging Face hub and in its local cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ._messages import first_line


@dataclass(frozen=True)
class Folder:
    """A local folder."""

    folder: Path

    def first(self, names: Sequence[str]) -> Path:
        """Return the first file there is.

        Raises
        ------
        FileNotFoundError
            There is none of them.
        """
        for name in names:
            if (path := self.folder / name).is_file():
                return path
        there = sorted(path.name for path in self.folder.iterdir())
        msg = (
            f"Found no {' or '.join(names)} in {str(self.folder)!r}, only {there}. "
            "Pass source= a folder with all files of the checkpoint."
        )
        raise FileNotFoundError(msg)

    def present(self, names: Sequence[str]) -> dict[str, Path]:
        """Return those files that there are, by name."""
        return {name: path for name in names if (path := self.folder / name).is_file()}


@dataclass(frozen=True)
class Hub:
    """One commit, tag or branch of a repository on the hub; None is its main branch."""

    repository: str
    revision: str | None

    def first(self, names: Sequence[str]) -> Path:
        """Return the first file there is, downloaded unless it is in the cache.

        Raises
        ------
        FileNotFoundError
            There is none of them, or the hub cannot be reached and the cache has none.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        reason: Exception
        for name in names:
            try:
                return Path(hf_hub_download(self.repository, name, revision=self.revision))
            except EntryNotFoundError as error:
                reason = error
            except (OSError, ValueError) as error:
                reason = error
                break
        raise FileNotFoundError(self._unreachable(names, reason)) from reason

    def present(self, names: Sequence[str]) -> dict[str, Path]:
        """Return those files that there are, by name, downloaded unless they are in the cache.

        Raises
        ------
        FileNotFoundError
            The hub cannot be reached, and the cache has nothing of this revision.
        """
        from huggingface_hub import snapshot_download

        try:
            # One call that knows the list of files: asked for one by one, a connection that breaks would look like
            # a file that is not there.
            folder = snapshot_download(self.repository, revision=self.revision, allow_patterns=list(names))
        except (OSError, ValueError) as reason:
            raise FileNotFoundError(self._unreachable(names, reason)) from reason
        return Folder(Path(folder)).present(names)

    def _unreachable(self, names: Sequence[str], reason: Exception) -> str:
        return (
            f"Could not get {' or '.join(names)} of {self.repository!r} (revision {self.revision or 'main'}): "
            f"there is no such folder, and the Hugging Face hub and its local cache gave {type(reason).__name__}: "
            f"{first_line(reason)} "
            "Without a connection, pass source= a local folder that holds the checkpoint "
            "(made elsewhere with `hf download ID --local-dir FOLDER`), "
            "or revision= one that is in the cache (HF_HOME)."
        )
