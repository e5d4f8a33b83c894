"""The process that measures: it reads a spec and writes rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cavs._files import write_atomically
from cavs.bench.command import measure_command
from cavs.bench.measure import Rivals, Row, Spec, measure
from cavs.bench.scaling import measure_linear
from cavs.errors import CavsError


def work(spec_path: str, result_path: str, rivals: Rivals | None = None) -> int:
    """Measures by the spec in the JSON file `spec_path`; writes {"rows": [...]} or {"error":
    "..."}.

    Returns the exit code: 1 for an error that a user can cause.
    """
    spec = Spec(**json.loads(Path(spec_path).read_text(encoding="utf-8")))
    result: dict[str, Any]
    try:
        result = {"rows": _rows(spec, rivals)}
    except CavsError as error:
        result = {"error": str(error)}
    except MemoryError as error:
        result = {
            "error": f"[bench] expected memory for {spec.workload}, got less from the system "
            f"({error}); choose smaller --batch-sizes or --hidden-sizes"
        }
    write_atomically(result_path, json.dumps(result).encode())
    return int("error" in result)


def _rows(spec: Spec, rivals: Rivals | None) -> list[Row]:
    if spec.kind == "linear":
        return measure_linear(spec)
    if spec.kind == "command":
        return measure_command(spec)
    return measure(spec, rivals)


def write_spec(path: Path, spec: Spec) -> None:
    """Writes `spec` to a file for `work`."""
    write_atomically(path, json.dumps(asdict(spec)).encode())
