"""Trials in a process of their own, so that one that crashes is a finding and not the end.

A module for it has a function `trial`, which takes a seed, and a device if it knows of any, and
returns the fault or None; ``python workers.py MODULE`` reads lines of JSON with these arguments and
answers each with a line of JSON.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

#: Seconds that a trial may take, and bytes that the process may have.
LIMIT_SECONDS, LIMIT_BYTES = 60, 12 << 30
_REPORTED = 40  # lines of the output of a process that died


class Worker:
    """The process that tries the seeds of a module; a new process replaces each that died."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        # Not a pipe, which would fill up unless somebody reads it.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the worker
        atexit.register(self.close)

    def check(self, seed: int, **more: str) -> str | None:
        """The fault that the trial of a seed finds, or None."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        answer = ""
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps({"seed": seed, **more}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if answer:
            found: str | None = json.loads(answer)
            return None if found is None else f"seed {seed}: {found}"
        self._process = None
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()
        code = process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        self._errors.seek(0)
        lines = self._errors.read().splitlines()[-_REPORTED:]
        return "\n".join([f"seed {seed}: the process ended by {how}", *lines])

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()
        self._errors.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._errors.seek(0)
            self._errors.truncate()
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", __file__, self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        return self._process


def serve(module: str) -> None:
    """Tries what stands on standard input, line by line."""
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # ASan takes all addresses
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    trial = import_module(module).trial
    for line in sys.stdin:
        signal.alarm(LIMIT_SECONDS)
        try:
            found = trial(**json.loads(line))
        except Exception as error:  # of the trial itself: a finding to look at
            found = "".join(traceback.format_exception(error))
        print(json.dumps(found), flush=True)
        signal.alarm(0)


if __name__ == "__main__":
    sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "tests"))
    serve(sys.argv[1])
