"""Plots loss and accuracy by epoch from the metrics.json of runs: plot_runs.py DIR... -o FILE.png

Needs matplotlib: pip install '.[viz]'.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def read(directory: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((directory / "metrics.json").read_text())
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for directory in options.runs:
        history = read(directory)["history"]
        epochs = [row["epoch"] for row in history]
        label = directory.name
        left.plot(epochs, [row["loss"] for row in history], marker=".", label=label)
        accuracy = [100 * row["dev"]["root_accuracy"] for row in history]
        right.plot(epochs, accuracy, marker=".", label=label)
    left.set(xlabel="epoch", ylabel="training loss per tree")
    right.set(xlabel="epoch", ylabel="accuracy on roots of dev, %")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(options.title)
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
