"""The tables of a run, from the dict that `gpu.py` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gpu_parts.goals import Limit, best, goals
from gpu_parts.trees import EAGER, GRAPH, SCAN
from gpu_parts.turns import PEER


def text_of(result: dict[str, Any], limits: Sequence[Limit] = ()) -> str:
    """All tables, and a line for each figure that is missing."""
    parts = [
        f"{result['data']}; {result['card']} ({result['device']}); {result['versions']}",
        "\n".join(_goals(result, limits)),
        "\n".join(_trees(result, limits)),
        "\n".join(_sequences(result)),
        "\n".join(_layers(result)),
        "\n".join(_costs(result)),
        "\n".join(_memory(result)),
        "\n".join(_ablation(result)),
    ]
    missing = dict(result["missing"])
    if not limits:
        missing["hand-written CUDA"] = "no --limit-table"
    parts.append("\n".join(f"missing: {name}: {why}" for name, why in missing.items()))
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _header(*names: str) -> list[str]:
    return [_line(*names), "|" + "---|" * len(names)]


def _goals(result: dict[str, Any], limits: Sequence[Limit]) -> Iterator[str]:
    yield from _header("cavs relative to", "", "wanted", "figure", "")
    for goal in goals(result, limits):
        wanted = f"{'<=' if goal.at_most else '>='} {goal.bound:g}{goal.unit}"
        value = "-" if goal.value is None else f"{goal.value:.3g}{goal.unit}"
        yield _line(goal.text, "aim" if goal.aim else "must", wanted, value, goal.verdict)


def _rates(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], float]:
    return {(row["contender"], row["batches"]): row["per_second"] for row in rows}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _trees(result: dict[str, Any], limits: Sequence[Limit]) -> Iterator[str]:
    rows = [row for row in result["rows"] if row["model"] == "tree-lstm"]
    if not rows:
        return
    yield "Tree-LSTM, trees per second. Kept batches are on the device, fresh ones are not:\n"
    theirs = ("PyTorch", "PyTorch, fresh", "PyTorch as graph", "JAX scan")
    limit = ("hand-written, device only", "hand-written, all in")
    yield from _header("hidden", "batch", "", "cavs", "cavs, fresh", *theirs, *limit)
    for hidden, batch, mode in dict.fromkeys((r["hidden"], r["batch"], r["mode"]) for r in rows):
        where = {"hidden": hidden, "batch": batch, "mode": mode}
        same = [row for row in rows if all(row[name] == value for name, value in where.items())]
        rates = _rates(same)
        places = [("cavs", "kept"), ("cavs", "fresh"), (EAGER, "kept"), (EAGER, "fresh")]
        places += [(GRAPH, "kept"), (SCAN, "kept")]
        found = [rates.get(place) for place in places]
        found += [best(limits, "cuda", all_in=all_in, **where) for all_in in (False, True)]
        yield _line(hidden, batch, mode, *map(_number, found))
    for epoch in result["epochs"]:
        yield (
            f"\nAn epoch of {epoch['samples']:,} trees through the loader, hidden "
            f"{epoch['hidden']}, batch {epoch['batch']}: {epoch['seconds']:.3f} s."
        )


def _sequences(result: dict[str, Any]) -> Iterator[str]:
    rows = [row for row in result["rows"] if row["model"] != "tree-lstm"]
    if rows:
        yield from _header("training", "", "ms a step", "samples/s")
        for r in rows:
            rate = _number(r["per_second"])
            yield _line(r["model"], r["contender"], f"{r['ms_per_step']:.3f}", rate)


def _layers(result: dict[str, Any]) -> Iterator[str]:
    rows = result["layers"]
    if not rows:
        return
    yield "A layer alone; training is forward and all gradients. No goal is set.\n"
    names = ("cavs, ms", "PyTorch, ms", "PyTorch / cavs", "launches", "graphs", "cuBLAS", "host ms")
    yield from _header("layer", "", *names)
    for layer, mode in dict.fromkeys((r["layer"], r["mode"]) for r in rows):
        same = {r["contender"]: r for r in rows if (r["layer"], r["mode"]) == (layer, mode)}
        ours = same["cavs"]
        own, theirs, ratio = ours["ms_per_step"], "-", "-"
        if PEER in same:
            taken = same[PEER]["ms_per_step"]
            theirs, ratio = f"{taken:.3f}", f"{taken / own:.2f}"
        costs = [f"{ours[name]:,.1f}" for name in _COSTS[:3]]
        yield _line(layer, mode, f"{own:.3f}", theirs, ratio, *costs, f"{ours['host_ms']:.3f}")


_COSTS = ("launches", "graph_launches", "products", "copies_to_device", "bytes_to_device")


def _costs(result: dict[str, Any]) -> Iterator[str]:
    rows = [row for row in result["rows"] if row["contender"] == "cavs" and "host_ms" in row]
    if not rows:
        return
    yield "A step of cavs: what the driver is asked for, and the host's time without waiting.\n"
    names = ("launches", "graphs", "cuBLAS", "copies", "bytes", "host ms", "ms", "of it made anew")
    yield from _header("model", "hidden", "batch", "", "", *names)
    for row in rows:
        key = [row[name] for name in ("model", "hidden", "batch", "mode")]
        kept = [
            other["ms_per_step"]
            for other in rows
            if [other[name] for name in ("model", "hidden", "batch", "mode")] == key
            and other["batches"] == "kept"
        ]
        share = "-"
        if row["batches"] == "fresh" and kept:
            share = f"{100 * (1 - kept[0] / row['ms_per_step']):.0f} %"
        costs = [f"{row[name]:,.1f}" for name in _COSTS]
        times = f"{row['host_ms']:.3f}", f"{row['ms_per_step']:.3f}"
        where = ["-" if value is None else value for value in key]
        yield _line(*where, row["batches"], *costs, *times, share)


def _memory(result: dict[str, Any]) -> Iterator[str]:
    if result["memory"]:
        yield "Memory of training in MB: predicted by `model.memory`; what the GPU has less free.\n"
        yield from _header("part", "predicted", "grown")
    for part, found in result["memory"].items():
        yield _line(part, *(f"{found[name] / 2**20:,.1f}" for name in ("predicted", "grown")))


def _ablation(result: dict[str, Any]) -> Iterator[str]:
    if not result["ablation"]:
        return
    yield "Ablation: each alone off, its rate relative to all on.\n"
    names = ("ms", "relative", "launches", "graphs", "cuBLAS", "host ms")
    yield from _header("hidden", "batch", "", "", "without", *names)
    for r in result["ablation"]:
        costs = [f"{r[name]:,.1f}" for name in _COSTS[:3]]
        times = f"{r['ms_per_step']:.3f}", f"{r['relative']:.2f}x"
        where = (r["hidden"], r["batch"], r["mode"], r["batches"], r["without"])
        yield _line(*where, *times, *costs, f"{r['host_ms']:.3f}")
