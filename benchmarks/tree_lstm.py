"""Trees per second of the child-sum Tree-LSTM: cavs beside PyTorch, on equal weights and batches.

See README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tables import line, report
from timing import Sgemm, interleave, machine, ratios
from treebank import NUM_CLASSES, choose_batches, load_data

Array = npt.NDArray[Any]

EMBEDDING_SIZE, LEARNING_RATE = 300, 0.05
RTOL = 1e-4


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", metavar="DIR", help="the treebank; default: random trees like it")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 32, 256], metavar="N")
    parser.add_argument("--hidden-size", type=int, default=150, metavar="N")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument(
        "--modes", nargs="+", default=["train", "infer"], choices=["train", "infer"]
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--output", metavar="DIR", help="writes tree_lstm.json and tree_lstm.md")
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


# Contenders


class Cavs:
    """Assembles each batch anew in every step, so that the schedule is part of the step."""

    def __init__(self, dataset: Any, vocab_size: int, hidden_size: int) -> None:
        import cavs
        from cavs.models.tree_lstm import ChildSumTreeLSTM

        self._no_grad = cavs.no_grad
        self._dataset = dataset
        self.batches: list[Array] = []
        self.phases: dict[str, float] = {}
        function = ChildSumTreeLSTM(vocab_size, EMBEDDING_SIZE, hidden_size, NUM_CLASSES)
        self.model = cavs.compile(function)
        self._optimizer = cavs.optim.Adagrad(self.model.parameters(), lr=LEARNING_RATE)

    def train_step(self, number: int) -> float:
        times = [time.perf_counter()]

        def lap() -> None:
            times.append(time.perf_counter())

        graphs, inputs = self._dataset.batch(self.batches[number % len(self.batches)])
        lap()
        graphs.schedule()
        lap()
        loss = self.model(graphs, **inputs)["loss"].sum()
        lap()
        loss.backward()
        lap()
        self._optimizer.step()
        self._optimizer.zero_grad()
        loss.item()
        lap()
        names = ("assembly", "schedule", "forward", "backward", "optimizer")
        for name, begin, end in zip(names, times[:-1], times[1:], strict=True):
            self.phases[name] = self.phases.get(name, 0.0) + end - begin
        return float(graphs.num_graphs)

    def infer_step(self, number: int) -> float:
        with self._no_grad():
            graphs, inputs = self._dataset.batch(self.batches[number % len(self.batches)])
            self.model(graphs, **inputs)["loss"].sum().item()
        return float(graphs.num_graphs)

    def shares(self) -> dict[str, float]:
        """The part of each phase in the training steps since the last call."""
        total = sum(self.phases.values())
        found = {name: spent / total for name, spent in self.phases.items()}
        self.phases.clear()
        return found

    def loss_and_gradients(self, indices: Array) -> tuple[float, dict[str, Array]]:
        """Of one batch; the embedding's gradient as its rows for the distinct words."""
        from cavs import RowSparse

        graphs, inputs = self._dataset.batch(indices)
        loss = self.model(graphs, **inputs)["loss"].sum()
        loss.backward()
        gradients = {}
        for name, parameter in self.model.named_parameters():
            grad = parameter.grad
            if grad is not None:
                gradients[name] = np.array(grad.values if isinstance(grad, RowSparse) else grad)
        self.model.zero_grad()
        return float(loss.item()), gradients

    def program_flops(self, modes: Sequence[str]) -> dict[str, float]:
        """FLOPs of a tree by mode, counted from the compiled programs over the batches."""
        compiler = self.model._compiler
        training = [compiler.training(()), compiler.backward(("loss",), ())]
        programs = {"train": training, "infer": [compiler.inference()]}
        totals = dict.fromkeys(modes, 0.0)
        for indices in self.batches:
            graphs, inputs = self._dataset.batch(indices)
            leaf = np.diff(graphs.child_ptr) == 0
            rows = {"vertex": graphs.num_vertices, "edge": graphs.num_edges, "none": 1}
            rows |= {"leaf": int(leaf.sum()), "inner": int((~leaf).sum())}
            for name, values in inputs.items():
                rows[f"unique:{name}@leaf"] = len(np.unique(values[leaf]))
                rows[f"unique:{name}@inner"] = len(np.unique(values[~leaf]))
            for mode in modes:
                for program in programs[mode]:
                    for segment in program.segments:
                        for instruction in segment.instructions:
                            totals[mode] += instruction.flops * rows[instruction.space]
        trees = sum(len(indices) for indices in self.batches)
        return {mode: total / trees for mode, total in totals.items()}


def plan_batches(dataset: Any, batches: Sequence[Array]) -> list[Any]:
    """The batches as the peers take them."""
    from peers.tree_levels import tree_levels

    plans = []
    for indices in batches:
        graphs, inputs = dataset.batch(indices)
        word, label = inputs["word"], inputs["label"]
        plans.append(tree_levels(graphs.child_ptr, graphs.children, word, label, NUM_CLASSES))
    return plans


def minimal_flops(plans: Sequence[Any], hidden: int, training: bool) -> float:
    """FLOPs of a tree in the products that no method can do without, each distinct leaf cell once.

    A product forward costs the same twice more in training: for its input and for its weight.
    """
    total = 0.0
    for plan in plans:
        inner = plan.num_rows - plan.num_words
        below = int((plan.parent >= 0).sum()) + plan.num_words
        total += plan.num_words * EMBEDDING_SIZE * 3 * hidden
        total += inner * hidden * 3 * hidden + below * hidden * hidden
        total += plan.num_rows * hidden * NUM_CLASSES
    trees = sum(int(plan.num_trees) for plan in plans)
    return total * 2 * (3 if training else 1) / trees


def check_equal(ours: Cavs, peer: Any, indices: Array) -> dict[str, float]:
    """Compares loss and gradients over one batch; returns the largest relative differences.

    Raises:
        SystemExit: they differ by more than RTOL of the largest element.
    """
    loss, gradients = ours.loss_and_gradients(indices)
    theirs = peer.gradients(0)
    differences = {"loss": abs(peer.loss(0) - loss) / abs(loss)}
    for name, expected in theirs.items():
        scale = float(np.abs(expected).max())
        differences[name] = float(np.abs(gradients[name] - expected).max()) / scale
    for name in set(gradients) - set(theirs):
        differences[name] = float(np.abs(gradients[name]).max())
    for name, difference in differences.items():
        if not difference <= RTOL:
            raise SystemExit(f"[benchmark] {name} differs from the peer's by {difference:.1e}")
    return differences


# One thread count, in a process of its own


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All batch sizes and modes with the cores that this process may use, one thread on each."""
    import cavs

    threads = len(os.sched_getaffinity(0))
    cavs.set_num_threads(threads)
    dataset, vocab_size, data = load_data(arguments.data)
    has_torch = importlib.util.find_spec("torch") is not None
    results = []
    for batch_size in arguments.batch_sizes:
        ours = Cavs(dataset, vocab_size, arguments.hidden_size)
        ours.batches = choose_batches(len(dataset), batch_size)
        plans = plan_batches(dataset, ours.batches)
        peer, equal = None, None
        if has_torch:
            peer = make_torch(ours, plans, threads)
            equal = check_equal(ours, peer, ours.batches[0])
        flops = ours.program_flops(arguments.modes)
        for mode in arguments.modes:
            least = minimal_flops(plans, arguments.hidden_size, mode == "train")
            row = measure_mode(arguments, mode, ours, peer, threads)
            row |= {"data": data, "batch_size": batch_size, "threads": threads, "mode": mode}
            row |= {"flops_per_tree": flops[mode], "minimal_flops_per_tree": least}
            row |= {"differences": equal, "instruction_set": cavs.instruction_set()}
            results.append(finish(row))
            print(line(row), file=sys.stderr, flush=True)
    return results


def make_torch(ours: Cavs, plans: Sequence[Any], threads: int) -> Any:
    """The PyTorch peer on the same weights."""
    import torch
    from peers.torch_tree_lstm import TorchTreeLSTM

    torch.set_num_threads(threads)
    return TorchTreeLSTM(ours.model.state_dict(), plans, LEARNING_RATE)


def measure_mode(
    arguments: argparse.Namespace, mode: str, ours: Cavs, peer: Any, threads: int
) -> dict[str, Any]:
    """Rates of all contenders and of the product, in trees/s and GFLOP/s."""
    steps: dict[str, Callable[[int], float]] = {}
    steps["cavs"] = ours.train_step if mode == "train" else ours.infer_step
    if peer is not None:
        call = peer.train_step if mode == "train" else peer.loss

        def step(number: int) -> float:
            number %= len(ours.batches)
            call(number)
            return float(len(ours.batches[number]))

        steps["torch"] = step
    steps["sgemm"] = Sgemm(threads)
    for name in steps:
        for number in range(3):
            steps[name](number)
    ours.phases.clear()
    rates = interleave(steps, seconds=arguments.seconds, rounds=arguments.rounds)
    row: dict[str, Any] = {"rates": {name: found.summary() for name, found in rates.items()}}
    if peer is not None:
        row["cavs_over_torch"] = ratios(rates["cavs"].wall, rates["torch"].wall)
        row["cavs_over_torch_by_cpu"] = ratios(rates["cavs"].cpu, rates["torch"].cpu)
    if mode == "train":
        row["shares"] = ours.shares()
    row["load_average"] = os.getloadavg()[0]
    return row


def finish(row: dict[str, Any]) -> dict[str, Any]:
    """Adds what follows from the rates."""
    sgemm = row["rates"]["sgemm"]["median"]
    row["gflops"] = row["rates"]["cavs"]["median"] * row["flops_per_tree"] * 1e-9
    row["gflops_over_sgemm"] = row["gflops"] / sgemm
    floor = sgemm * 1e9 / row["minimal_flops_per_tree"]
    row["floor_trees_per_second"] = floor
    for name in ("cavs", "torch"):
        if name in row["rates"]:
            row[f"{name}_over_floor"] = row["rates"][name]["median"] / floor
    return row


# Processes


def run_worker(argv: Sequence[str], threads: int) -> list[dict[str, Any]]:
    """Measures in a new process that may use `threads` cores and starts that many threads."""
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        print(f"[benchmark] {threads} threads skipped: {len(cores)} cores", file=sys.stderr)
        return []
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | dict.fromkeys(counts, str(threads))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, __file__, *argv, "--worker", str(path)]
        os.sched_setaffinity(0, cores[:threads])
        try:
            subprocess.run(command, env=environment, check=True)
        finally:
            os.sched_setaffinity(0, cores)
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def main(argv: Sequence[str]) -> None:
    arguments = parse_arguments(argv)
    if arguments.worker:
        Path(arguments.worker).write_text(json.dumps(measure(arguments)), encoding="utf-8")
        return
    import cavs

    version = None
    if importlib.util.find_spec("torch") is None:
        print("[benchmark] PyTorch skipped: not installed (pip install torch)", file=sys.stderr)
    else:
        version = importlib.metadata.version("torch")
    shown = ["DIR" if x in (arguments.data, arguments.output) else x for x in argv]
    result = {
        "command": " ".join(["python", "benchmarks/tree_lstm.py", *shown]),
        "embedding_size": EMBEDDING_SIZE,
        "hidden_size": arguments.hidden_size,
        "num_classes": NUM_CLASSES,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "cavs": cavs.__version__,
        "torch": version,
        "machine": machine(),
        "rows": [row for count in arguments.threads for row in run_worker(argv, count)],
    }
    text = report(result)
    print(text)
    if arguments.output:
        folder = Path(arguments.output)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tree_lstm.json").write_text(
            json.dumps(result, indent=1) + "\n", encoding="utf-8"
        )
        (folder / "tree_lstm.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
