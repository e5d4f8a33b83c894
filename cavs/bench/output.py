"""The files of a run: one JSON file a part, and a report and plots of all that stand there."""

from __future__ import annotations

import json
from pathlib import Path

from cavs._files import write_atomically
from cavs.bench import plots
from cavs.bench.measure import Row
from cavs.bench.plan import LINEAR_COST, part_name
from cavs.bench.report import report
from cavs.bench.workloads import WORKLOADS
from cavs.errors import DataError


def write_part(folder: Path, result: Row) -> None:
    """Writes a part's results to its file, in place of earlier ones."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    write_atomically(folder / f"{result['part']}.json", text.encode())


def read_parts(folder: Path) -> list[Row]:
    """The results of all parts that stand in `folder`, in the order of a full run."""
    both = [(name, recipe) for name, w in WORKLOADS.items() for recipe in reversed(w.recipes)]
    names = [part_name(*pair, kind) for kind in ("speed", "ablation") for pair in both]
    names.append(LINEAR_COST)
    return [_read(path) for name in names if (path := folder / f"{name}.json").is_file()]


def _read(path: Path) -> Row:
    try:
        result: Row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"[bench] {path}: expected results of a run, got {error}; remove the file and measure "
            "again"
        ) from None
    return result


def write_report(folder: Path) -> None:
    """Writes report.md, and plots where matplotlib is installed, of all parts in `folder`.

    Raises:
        DataError: there is no part.
    """
    results = read_parts(folder)
    if not results:
        raise DataError(
            f"[bench] {folder}: expected the JSON files of a run, got none; name the folder that "
            "--output wrote"
        )
    pictures = plots.draw(results, folder) if plots.available() else {}
    write_atomically(folder / "report.md", report(results, pictures).encode())
