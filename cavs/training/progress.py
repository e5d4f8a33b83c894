"""The output of a run: a progress bar on a terminal, and one line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from cavs.training.objective import Observer


class Progress(Observer):
    """Shows training: a line for each epoch on standard output, and a bar with loss and rate on
    standard error if it is a terminal. A line on standard error names parameters that got no
    gradient in the first epoch, and why, if that is known; one says where the loss grew far above
    its beginning. What asks for something is said even if it is to be quiet."""

    def __init__(
        self,
        quiet: bool = False,
        unit: str = "trees",
        describe: Callable[[Mapping[str, float]], str] = str,
        epochs: int | None = None,
        reasons: Callable[[Sequence[str]], Mapping[str, str]] = lambda names: {},
    ) -> None:
        """`unit` is the word for graphs, `describe` puts the scores on dev in words, `epochs` is
        the greatest number of epochs, and `reasons` says why some of these parameters get no
        gradient from the data, by name."""
        self._quiet = quiet
        self._unit = unit
        self._describe = describe
        self._of = "" if epochs is None else f"/{epochs}"
        self._reasons = reasons
        self._bar: tqdm[Any] | None = None

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        if not self._quiet and sys.stderr.isatty():
            self._bar = tqdm(
                total=graphs,
                initial=done,
                desc=f"epoch {epoch}{self._of}",
                unit=self._unit,
                unit_scale=False,
                leave=False,
                dynamic_ncols=True,
                bar_format=(
                    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
                    f"{self._unit} "
                    "[{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
                ),
            )

    def step_done(self, graphs: int, loss: float) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self._bar.update(graphs)

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        self.close()
        if silent := record.get("without_gradient"):
            self._say_without_gradient(record["epoch"], silent)
        if diverged := record.get("diverged"):
            _say(
                f"[train] expected a loss that falls, got {diverged['loss']:.4g} for each of the "
                f"{self._unit} by step {diverged['step']} (epoch {record['epoch']}), from "
                f"{diverged['began']:.4g} in the first step: the run diverges; train with a "
                "smaller --lr, or a --clip-norm"
            )
        if self._quiet:
            return
        print(
            f"epoch {record['epoch']:>3}{self._of}  loss {record['loss']:8.4f}  "
            f"dev {self._describe(record['dev'])}  "
            f"{record['graphs_per_second']:6.0f} {self._unit}/s{'  best' if improved else ''}",
            flush=True,
        )

    def _say_without_gradient(self, epoch: int, names: Sequence[str]) -> None:
        reasons = self._reasons(names)
        if not self._quiet:
            for reason in dict.fromkeys(reasons.values()):
                alike = [name for name in reasons if reasons[name] == reason]
                gets = "gets" if len(alike) == 1 else "get"
                _say(
                    f"[train] {', '.join(alike)} {gets} no gradient, as it should be: {reason}; "
                    "nothing to do"
                )
        if others := [name for name in names if name not in reasons]:
            _say(
                f"[train] expected a gradient of each parameter in epoch {epoch}, got none, or "
                f"zeros in each step, of {', '.join(others)}; check that these data use them, for "
                "nothing is learnt there"
            )

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
