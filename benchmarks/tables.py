"""Results of a run as Markdown."""

from __future__ import annotations

from typing import Any

_HEADER = """\
| mode | threads | batch | cavs trees/s | PyTorch trees/s | ratio (least .. greatest) \
| by CPU time | cavs GFLOP/s | of sgemm | cavs / floor | schedule |
|---|---|---|---|---|---|---|---|---|---|---|"""


def line(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    rates, ratio = row["rates"], row.get("cavs_over_torch")

    def spread(name: str) -> str:
        if name not in rates:
            return "not installed"
        found = rates[name]
        quartiles = f"{found['quartile_1']:,.0f} .. {found['quartile_3']:,.0f}"
        return f"{found['median']:,.0f} ({quartiles})"

    against = "" if ratio is None else "{median:.2f} ({min:.2f} .. {max:.2f})".format(**ratio)
    by_cpu = ""
    if ratio is not None and row["threads"] == 1:  # idle threads spin, which is not work
        by_cpu = f"{row['cavs_over_torch_by_cpu']['median']:.2f}"
    schedule = f"{row['shares']['schedule']:.1%}" if "shares" in row else ""
    return (
        f"| {row['mode']} | {row['threads']} | {row['batch_size']} | {spread('cavs')} "
        f"| {spread('torch')} | {against} | {by_cpu} | {row['gflops']:.1f} "
        f"| {row['gflops_over_sgemm']:.0%} of {rates['sgemm']['median']:.0f} "
        f"| {row['cavs_over_floor']:.2f} | {schedule} |"
    )


def _disturbances(rows: list[dict[str, Any]]) -> list[str]:
    """What to say where other processes took part of the cores."""
    if all(row["load_average"] <= row["threads"] + 0.5 for row in rows):
        return []
    return [
        "",
        "Other processes were busy on these cores. With one thread the ratios bear it; with "
        "several, a barrier waits for a thread that does not run, and OpenMP, which PyTorch uses, "
        "suffers far more than cavs: its rates with several threads are too low here, and no basis "
        "for a ratio.",
    ]


def report(result: dict[str, Any]) -> str:
    """The whole run as Markdown."""
    rows, found = result["rows"], result["machine"]
    loads = [row["load_average"] for row in rows]
    versions = f"cavs {result['cavs']}, PyTorch {result['torch'] or 'not installed'}"
    text = [
        "# Child-sum Tree-LSTM",
        "",
        f"{rows[0]['data']}; embedding {result['embedding_size']}, hidden {result['hidden_size']}, "
        f"{result['num_classes']} classes on every vertex, Adagrad. {versions}, "
        f"Python {found['python']}. "
        f"{found['processor']}, {found['cores']} cores, {rows[0]['instruction_set']}; load average "
        f"{min(loads):.1f} .. {max(loads):.1f}.",
        "",
        f"Command: `{result['command']}`. Medians and quartiles of {result['rounds']} turns of "
        f"{result['seconds']:g} s.",
        *_disturbances(rows),
        "",
        _HEADER,
        *[line(row) for row in rows],
        "",
        "Where a training step of cavs goes:",
        "",
        "| threads | batch | assembly | schedule | forward | backward | optimizer |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "shares" in row:
            shares = " | ".join(f"{share:.1%}" for share in row["shares"].values())
            text.append(f"| {row['threads']} | {row['batch_size']} | {shares} |")
    return "\n".join([*text, ""])
