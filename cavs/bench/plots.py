"""Results as pictures; needs matplotlib."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cavs._files import write_atomically
from cavs.bench.contenders import ONE_THREAD, OURS, PAPER
from cavs.bench.measure import SGEMM, Row, count, recipe_of
from cavs.bench.recipes import PLAIN
from cavs.errors import CavsRuntimeError

#: Parts of a training step that are about graphs, not numbers.
_OVERHEAD = ("assembly", "schedule", "construction", "batching")
_MODES = {"train": "Training", "infer": "Inference"}
_TITLES = {OURS: "cavs", ONE_THREAD: "cavs, one thread", PAPER: "cavs, paper's policy"}
_GREY = "0.45"
# Colours of cavs, then of the others: a dozen that can be told apart, none grey as the floor is.
_COLOURS = (
    *("black", "C0", "C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9"),
    *("navy", "goldenrod", "teal", "crimson"),
)
_MARKERS = "osD^v<>pXP*hd8"


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(results: Iterable[Row], folder: Path) -> dict[str, list[str]]:
    """Writes PNG files for each part that has a plot; maps each part to the names of its files.

    Raises:
        CavsRuntimeError: matplotlib is not installed.
    """
    if not available():
        raise CavsRuntimeError(
            "[bench] expected matplotlib for plots, got none; install it with: pip install "
            "'cavs-nn[viz]'"
        )
    made: dict[str, list[str]] = {}
    for result in results:
        for suffix, figure in _figures(result):
            name = f"{result['part']}{suffix}.png"
            content = io.BytesIO()
            figure.savefig(content, dpi=110)
            write_atomically(folder / name, content.getvalue())
            made.setdefault(result["part"], []).append(name)
    return made


def _figures(result: Row) -> Iterable[tuple[str, Any]]:
    """Pairs of the end of a file's name and a figure."""
    rows = [row for row in result["rows"] if row["kind"] != "command"]
    if rows[0]["kind"] == "ablation":
        yield "", _ablation(rows)
    elif rows[0]["kind"] == "linear":
        yield "", _linear(rows)
    else:
        rows = _widest(rows)
        if len({row["leaves"] for row in rows}) > 1:
            most = max(row["batch_size"] for row in rows)
            yield "", _leaves([row for row in rows if row["batch_size"] == most])
        elif len({row["batch_size"] for row in rows}) > 1:
            yield "", _throughput(rows)
            if rows[0]["mode"] == "train" and not rows[0]["per_vertex"]:
                yield "-overhead", _overhead([row for row in rows if row["mode"] == "train"])


def _widest(rows: Sequence[Row]) -> list[Row]:
    """Rows of the most threads and the first hidden size."""
    threads, hidden = max(row["threads"] for row in rows), rows[0]["hidden_size"]
    return [row for row in rows if row["threads"] == threads and row["hidden_size"] == hidden]


def _panels(count: int, height: float = 3.8) -> tuple[Any, list[Any]]:
    # The figure without pyplot: no window system, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 + 4.1 * count, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(axes)


def _modes(rows: Sequence[Row]) -> list[str]:
    return [mode for mode in _MODES if any(row["mode"] == mode for row in rows)]


def _styles(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """The style of each contender: the same in every panel, cavs in front."""
    names = dict.fromkeys([OURS, PAPER, *(n for row in rows for n in row["rates"] if n != SGEMM)])
    styles: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(names):
        ours = name == OURS
        styles[name] = {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKERS[number % len(_MARKERS)],
            "linewidth": 2.2 if ours else 1.3,
            "markersize": 5.5 if ours else 4.5,
            "zorder": 3 if ours else 2,
            "label": _TITLES.get(name, name),
        }
    return styles


def _lines(
    axes: Any, rows: Sequence[Row], x: str, y: Callable[[Row, str], float], styles: dict[str, Any]
) -> None:
    for name, style in styles.items():
        points = sorted((row[x], y(row, name)) for row in rows if name in row["rates"])
        if points:
            axes.plot(*zip(*points, strict=True), **style)


def _log_axes(axes: Any, values: Iterable[int], xlabel: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

    axes.set(xscale="log", yscale="log", xlabel=xlabel)
    axes.set_xticks(sorted(set(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.grid(alpha=0.3)


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)


def _headline(row: Row) -> str:
    recipe = "" if recipe_of(row) == PLAIN else f", recipe {recipe_of(row)}"
    threads = count(row["threads"], "thread")
    return f"{row['workload']}{recipe}, hidden {row['hidden_size']}, {threads}"


def _rates(
    rows: Sequence[Row], x: str, xlabel: str, unit: str, title: str, units: Callable[[Row], int]
) -> Any:
    """Rate of units against `x`, a panel for each mode."""
    modes, styles = _modes(rows), _styles(rows)
    figure, panels = _panels(len(modes))
    for axes, mode in zip(panels, modes, strict=True):
        chosen = [row for row in rows if row["mode"] == mode]
        _lines(axes, chosen, x, lambda row, n: row["rates"][n]["median"] * units(row), styles)
        points = sorted((row[x], row["floor"] * units(row)) for row in chosen)
        axes.plot(*zip(*points, strict=True), "--", color=_GREY, label="floor (sgemm)")
        _log_axes(axes, (row[x] for row in chosen), xlabel)
        axes.set(ylabel=f"{unit} per second", title=_MODES[mode])
    figure.suptitle(title, fontsize=11)
    _legend(figure, panels[0])
    return figure


def _throughput(rows: Sequence[Row]) -> Any:
    """Rate against batch size."""
    unit, title = rows[0]["unit"], _headline(rows[0])
    return _rates(rows, "batch_size", "graphs in a batch", unit, title, lambda row: 1)


def _leaves(rows: Sequence[Row]) -> Any:
    """Rate of vertices against the size of complete trees."""
    title = f"{_headline(rows[0])}, {count(rows[0]['batch_size'], 'tree')} in a batch"
    return _rates(
        *(rows, "leaves", "leaves of a tree", "vertices", title),
        units=lambda row: 2 * int(row["leaves"]) - 1,
    )


def _overhead(rows: Sequence[Row]) -> Any:
    """Time of a training step that goes to graphs: building, batching, scheduling, assembly."""

    def spent(row: Row, name: str) -> float:
        shares = row["shares"][name]
        step = row["units_per_batch"] / row["rates"][name]["median"]
        return float(1e3 * step * sum(shares.get(part, 0.0) for part in _OVERHEAD))

    styles = {n: s for n, s in _styles(rows).items() if n not in (PAPER, ONE_THREAD)}
    styles = {n: s for n, s in styles.items() if all(_has_overhead(row, n) for row in rows)}
    figure, (axes,) = _panels(1)
    _lines(axes, rows, "batch_size", spent, styles)
    _log_axes(axes, (row["batch_size"] for row in rows), "graphs in a batch")
    axes.set(ylabel="ms of a training step", title="Handling of graphs")
    figure.suptitle(_headline(rows[0]), fontsize=11)
    _legend(figure, axes)
    return figure


def _has_overhead(row: Row, name: str) -> bool:
    return bool(set(row["shares"].get(name, ())) & set(_OVERHEAD))


def _ablation(rows: Sequence[Row]) -> Any:
    """Rates relative to all passes, a bar for each choice of passes, a panel for each mode."""
    names = [name for name in rows[0]["rates"] if name not in (OURS, SGEMM)]
    order = [*(n for n in names if n.startswith("without")), PAPER]
    order += [n for n in names if n.startswith("only")]
    figure, panels = _panels(len(rows), height=1.2 + 0.27 * len(order))
    for axes, row in zip(panels, rows, strict=True):
        values = [1 / row["cavs_over"][name]["median"] for name in order]
        colours = ["C0" if n.startswith("without") else "C1" for n in order]
        colours[order.index(PAPER)] = _GREY
        bars = axes.barh(range(len(order)), values, color=colours, height=0.7)
        axes.axvline(1.0, color="black", linewidth=1, zorder=0)
        labels = axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        for label in labels:
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
        axes.set_yticks(range(len(order)), [_pass_title(name) for name in order], fontsize=8)
        axes.invert_yaxis()
        axes.set(xlim=(0, max(1.0, *values) * 1.15), xlabel="rate, all passes = 1")
        graphs = count(row["batch_size"], "graph")
        axes.set_title(f"{_MODES[row['mode']]}, {graphs} in a batch", fontsize=10)
        axes.grid(alpha=0.3, axis="x")
        if axes is not panels[0]:
            axes.tick_params(labelleft=False)
    figure.suptitle(_headline(rows[0]), fontsize=11)
    return figure


def _pass_title(name: str) -> str:
    return "none (paper's policy)" if name == PAPER else name.replace("_", " ")


def _linear(rows: Sequence[Row]) -> Any:
    """Time per vertex against the vertices of a batch."""
    figure, (axes,) = _panels(1)
    for number, name in enumerate(dict.fromkeys(row["workload"] for row in rows)):
        chosen = sorted(
            (row for row in rows if row["workload"] == name), key=lambda row: row["vertices"]
        )
        vertices = [row["vertices"] for row in chosen]
        each = [1e9 / row["vertices_per_second"]["median"] for row in chosen]
        axes.plot(vertices, each, f"C{number}-o", label=f"{name}, whole step")
        for part, style in (("assembly", "--s"), ("schedule", ":^")):
            times = [t * row["shares"][part] for t, row in zip(each, chosen, strict=True)]
            axes.plot(vertices, times, f"C{number}{style}", label=f"{name}, {part}")
    axes.set(xscale="log", yscale="log", xlabel="vertices in a batch", ylabel="ns per vertex")
    threads = count(rows[0]["threads"], "thread")
    axes.set_title(f"Training step, hidden {rows[0]['hidden_size']}, {threads}", fontsize=11)
    axes.set_ylim(bottom=1)
    axes.grid(alpha=0.3)
    _legend(figure, axes)
    return figure
