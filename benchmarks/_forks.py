"""Jobs in processes of their own that need not import anything: forks of a process that has done so.

The first line that a process of :func:`serve` writes is "ready", or what keeps it from working. It then does each job
that it reads, a line of JSON, in a fork, and answers with how that ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cell_embeddings import THREADS, load

READY = "ready"


class Server:
    """A process of `python script modules…`, to do jobs one after the other."""

    def __init__(self, interpreter: str, script: str, modules: tuple[str, ...], threads: int) -> None:
        self._process = subprocess.Popen(
            [interpreter, script, *modules],
            env=os.environ | dict.fromkeys(THREADS, str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._state = self._answer()

    def run(self, *, timeout: int = 0, **given: Any) -> dict[str, Any]:
        """Return what a job found, or only why it is "missing"; 0 seconds are as many as it takes."""
        if self._state != READY:
            return {"missing": self._state}
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out.npz")
            print(json.dumps({"out": str(out), "timeout": timeout, **given}), file=self._process.stdin, flush=True)
            code = int(self._answer())
            if code == -signal.SIGALRM:
                return {"missing": f"stopped after {timeout} s"}
            if code:
                return {"missing": f"failed with exit code {code}, see the log"}
            with np.load(out) as found:
                return {k: found[k] if found[k].ndim else found[k].item() for k in found.files}

    def _answer(self) -> str:
        answer = self._process.stdout.readline().strip()
        if not answer:
            msg = f"{' '.join(self._process.args)} ended without an answer, see the log."
            raise RuntimeError(msg)
        return answer


def serve(job: Callable[..., Mapping[str, Any]]) -> None:
    """Import the modules named on the command line, then do jobs until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what packages print is no answer
    state = READY
    try:
        load(tuple(sys.argv[1:]))
    except ModuleNotFoundError as error:
        state = f"not installed: {error.name}"
    print(state, file=answers, flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(done(job, **json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def done(job: Callable[..., Mapping[str, Any]], *, out: str, timeout: int, **given: Any) -> int:
    """Do a job and return the exit code."""
    signal.alarm(timeout)
    try:
        np.savez(out, **job(**given))
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0
