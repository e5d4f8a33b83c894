"""Runs the parts of the suite, each in processes of its own pinned to their cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import cavs
from cavs.bench.measure import Row, Spec
from cavs.bench.timing import machine
from cavs.bench.worker import write_spec
from cavs.errors import CavsError, CavsRuntimeError, InputError

WORKER = (sys.executable, "-m", "cavs.bench")
_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Part:
    """A part of the suite that stands in a file of its own: its name, and the processes for it."""

    name: str
    specs: Sequence[Spec]


def run_part(part: Part, command: str, worker: Sequence[str], extra: Mapping[str, Any]) -> Row:
    """Measures a part; returns the content of its JSON file.

    Args:
        part: the part.
        command: the command that measures it again.
        worker: the program that takes a spec's and a result's path.
        extra: further content of the file, such as the peers' versions.

    Raises:
        CavsError: the error of a measuring process.
    """
    load = os.getloadavg()[0]
    rows = [row for spec in part.specs for row in _in_process(spec, worker)]
    return {
        "part": part.name,
        "command": command,
        "machine": machine() | {"instruction_set": cavs.instruction_set()},
        "versions": {
            "cavs": cavs.__version__,
            **{name: metadata.version(name) for name in ("numpy", "scipy-openblas32")},
        },
        "load_average": load,
        **extra,
        "rows": rows,
    }


def _in_process(spec: Spec, worker: Sequence[str]) -> list[Row]:
    """Measures in a new process that may use `spec.threads` cores and starts as many threads."""
    environment = os.environ | dict.fromkeys(_THREAD_COUNTS, str(spec.threads))
    if worker is WORKER:
        environment |= own_modules()
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder) / "spec.json", Path(folder) / "rows.json"
        write_spec(asked, spec)
        with pinned(spec.threads):
            done = subprocess.run([*worker, str(asked), str(found)], env=environment, check=False)
        if not found.is_file():
            raise CavsRuntimeError(
                f"[bench] expected rows of {spec.workload}, got exit code {done.returncode} of "
                "the measuring process; see its messages above"
            )
        result = json.loads(found.read_text(encoding="utf-8"))
    if "error" in result:
        raise CavsError(result["error"])
    rows: list[Row] = result["rows"]
    return rows


def own_modules() -> dict[str, str]:
    """Variables with which ``python -m cavs`` takes no module from the folder where the user
    stands, on Python 3.11 and later, if this process has not taken cavs itself from there."""
    own = Path(cavs.__file__).resolve().parents[1]
    try:
        return {} if own == Path.cwd() else {"PYTHONSAFEPATH": "1"}
    except FileNotFoundError:  # that folder was removed: there is nothing to take
        return {}


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Within the context, processes that are started get the first `threads` usable cores."""
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise InputError(
            f"[bench] expected at most {len(cores)} threads, the cores that can be used, got "
            f"{threads}; use fewer"
        )
    os.sched_setaffinity(0, cores[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
