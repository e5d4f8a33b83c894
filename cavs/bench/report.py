"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cavs.bench.command import COMMAND
from cavs.bench.contenders import OURS, PAPER
from cavs.bench.measure import SGEMM, Row, count, recipe_of
from cavs.bench.recipes import NO_MASKS, RECIPES, Recipe

_BEFORE = ("assembly", "schedule")  # the parts before the step itself
_TITLES = {OURS: "cavs", PAPER: "paper's policy"}


def report(results: Sequence[Row], pictures: Mapping[str, Sequence[str]] | None = None) -> str:
    """All parts, as one document, with the names of pictures by part."""
    text = ["# Benchmarks", "", *_machine(results), ""]
    for result in results:
        writer = {"ablation": _ablation, "linear": _linear}.get(_kind(result), _speed)
        text += [f"## {result['part']}", "", *_about(result), "", *writer(result), ""]
        for name in (pictures or {}).get(result["part"], ()):
            text += [f"![{Path(name).stem}]({name})", ""]
    return "\n".join(text)


def _kind(result: Row) -> str:
    return str(result["rows"][0]["kind"]) if result["rows"] else ""


def _machine(results: Sequence[Row]) -> list[str]:
    lines = []
    for found in results:
        has = found["machine"]
        memory = f", {has['memory_gb']:g} GB" if has["memory_gb"] else ""
        versions = ", ".join(
            f"{name} {version}"
            for name, version in {**found["versions"], **found.get("peer_versions", {})}.items()
        )
        lines.append(
            f"{has['processor']}, {has['cores']} cores, {has['instruction_set']}, cache "
            f"{has['cache']}{memory}, {has['system']}, Python {has['python']}, {versions}."
        )
    return list(dict.fromkeys(lines))


def _about(result: Row) -> list[str]:
    lines = [f"`{result['command']}`"]
    lines += [_in_words(RECIPES[name]) for name in dict.fromkeys(map(recipe_of, result["rows"]))]
    lines += list(dict.fromkeys(f"{row['data']}." for row in result["rows"]))
    loads = [row["load_average"] - row["threads"] for row in result["rows"]]
    if loads and max(loads) > 0.5:
        lines += [
            "Other processes were busy: the load average was up to "
            f"{max(row['load_average'] for row in result['rows']):.1f}. Rates are too low, those "
            "of several threads by far, for a barrier waits for a thread that does not run."
        ]
    for name, reason in result.get("skipped", {}).items():
        lines += [f"{name} was skipped: {reason}."]
    left_out = {k: v for row in result["rows"] for k, v in row.get("left_out", {}).items()}
    lines += [f"{name} was left out: {reason}." for name, reason in left_out.items()]
    return [line for pair in zip(lines, [""] * len(lines), strict=True) for line in pair][:-1]


def _in_words(recipe: Recipe) -> str:
    """A sentence about a recipe."""
    loss = "the mean over the graphs" if recipe.mean else "the sum"
    words = [f"Recipe {recipe.name}: Adagrad, learning rate {recipe.lr:g}"]
    if recipe.embedding_lr != recipe.lr:
        words.append(f"{recipe.embedding_lr:g} of the embedding")
    words.append(f"decay {recipe.weight_decay:g}" if recipe.weight_decay else "no decay")
    if recipe.masks == NO_MASKS:
        words.append("no dropout")
    else:
        words.append(f"dropout {recipe.dropout:g} before the classifier")
    return f"{', '.join(words)}, loss {loss} of the batch."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _contenders(rows: Iterable[Row]) -> list[str]:
    """The contenders in the order in which they first come, without cavs and the product."""
    names = dict.fromkeys(name for row in rows for name in row["rates"])
    return [name for name in names if name not in (OURS, SGEMM)]


_KEYS = (
    ("hidden", "hidden_size"),
    ("batch", "batch_size"),
    ("mode", "mode"),
    ("threads", "threads"),
)


def _where(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(title, key) of the columns that tell rows apart; sizes that do not vary are left out."""
    columns = [("leaves", "leaves"), *_KEYS[:2]]
    kept = [c for c in columns if len({row[c[1]] for row in rows}) > 1]
    return [*kept, *_KEYS[2:]]


def _fixed(rows: Sequence[Row]) -> str:
    """Sizes that all rows share."""
    words = []
    for title, key in (("hidden size", "hidden_size"), ("batch size", "batch_size")):
        values = {row[key] for row in rows}
        if len(values) == 1:
            words.append(f"{title} {values.pop()}")
    return ", ".join(words)


def _speed(result: Row) -> list[str]:
    rows = [row for row in result["rows"] if row["kind"] != "command"]
    others, where = _contenders(rows), _where(rows)
    head = [title for title, _ in where] + ["cavs (quartiles)"]
    head += [_TITLES.get(name, name) for name in others]
    head += ["GFLOP/s", "of sgemm", "of the floor"]
    body = []
    for row in rows:
        ours = row["rates"][OURS]
        spread = f"{_number(ours['quartile_1'])} .. {_number(ours['quartile_3'])}"
        cells = [str(row[key]) for _, key in where]
        cells.append(f"**{_number(ours['median'])}** ({spread})")
        cells += [_against(row, name) for name in others]
        sgemm = row["rates"][SGEMM]["median"]
        cells += [f"{row['gflops']:.1f}", f"{row['gflops'] / sgemm:.0%} of {sgemm:.0f}"]
        cells.append(f"{ours['median'] / row['floor']:.2f}")
        body.append(cells)
    about = ", ".join(x for x in (f"{rows[0]['unit']}/s", _fixed(rows)) if x)
    text = [f"Medians in {about}; after a contender's rate how many times as fast cavs is.", ""]
    text += table(head, body)
    text += ["", *_training(rows)]
    commands = [row for row in result["rows"] if row["kind"] == "command"]
    return [*text, "", *_commands(commands)] if commands else text


def _commands(commands: Sequence[Row]) -> list[str]:
    """The rates that `cavs train` reports, beside the rates of the step alone."""
    body = []
    for row in commands:
        rates = [_number(row["rates"][name]["median"]) for name in (COMMAND, OURS)]
        cells = [f"`{row['command']}`", str(row["threads"]), *rates]
        around = row["seconds"] - row["training_seconds"]
        body.append([*cells, f"{row['training_seconds']:.1f} s", f"{around:.1f} s"])
    head = ["command", "threads", f"{commands[0]['unit']}/s", "the step alone"]
    return table([*head, "training", "all else"], body)


def _against(row: Row, name: str) -> str:
    if name not in row["rates"]:
        return ""
    return f"{_number(row['rates'][name]['median'])} ({row['cavs_over'][name]['median']:.2f}x)"


def _number(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def _training(rows: Sequence[Row]) -> list[str]:
    """The shares of a training step's time, and its memory."""
    trained = [row for row in rows if row["mode"] == "train"]
    if not trained:
        return []
    where = [c for c in _where(rows) if c[1] != "mode"]
    body = []
    for row in trained:
        shares = row["shares"][OURS]
        cells = [str(row[key]) for _, key in where]
        before = [shares[name] for name in _BEFORE]
        cells += [f"{share:.1%}" for share in (*before, 1 - sum(before))]
        body.append([*cells, f"{row['bytes_per_vertex']:,.0f}"])
    head = [title for title, _ in where] + [*_BEFORE, "step", "bytes per vertex"]
    return ["Where a training step of cavs goes:", "", *table(head, body)]


def _ablation(result: Row) -> list[str]:
    rows = result["rows"]
    where = _where(rows)
    head = ["passes", *(" ".join(_label(title, row[key]) for title, key in where) for row in rows)]
    body = []
    for name in [OURS, *_contenders(rows)]:
        title = {OURS: "all", PAPER: "none (the paper's policy)"}.get(name, name)
        body.append([title, *(_of_all(row, name) for row in rows)])
    unit = rows[0]["unit"]
    return [
        f"Medians in {unit}/s, {_fixed(rows)}, and relative to all passes.",
        "",
        *table(head, body),
    ]


def _label(title: str, value: Any) -> str:
    return str(value) if title == "mode" else f"{title} {value}"


def _of_all(row: Row, name: str) -> str:
    rate = _number(row["rates"][name]["median"])
    return rate if name == OURS else f"{rate} ({1 / row['cavs_over'][name]['median']:.2f})"


def _linear(result: Row) -> list[str]:
    head = ["workload", "vertices in a batch", "us per vertex (quartiles)", "schedule", "assembly"]
    body = []
    for row in result["rows"]:
        rate, shares = row["vertices_per_second"], row["shares"]
        each = 1e6 / rate["median"]
        spread = f"{1e6 / rate['quartile_3']:.2f} .. {1e6 / rate['quartile_1']:.2f}"
        cells = [row["workload"], f"{row['vertices']:,.0f}", f"{each:.2f} ({spread})"]
        cells += [f"{1e3 * each * shares[name]:.1f} ns" for name in ("schedule", "assembly")]
        body.append(cells)
    first = result["rows"][0]
    about = (
        f"Training steps, hidden size {first['hidden_size']}, {count(first['threads'], 'thread')}, "
    )
    return [about + "every word counted (without `unique_pulls`).", "", *table(head, body)]
