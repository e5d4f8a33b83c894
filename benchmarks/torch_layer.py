"""A Tree-LSTM as a layer of PyTorch beside the same model in cavs alone, in turns of one step.

    python benchmarks/torch_layer.py [--data DIR] [--batch-sizes 25 256] [--steps 200]
        [--optimizer adagrad] [--pytorch] [--loss-in-f]

DIR holds sst/; without it, trees of the same sizes are generated. All train by the recipe ``sst``
on the same batches, each with its own weights. The layer has PyTorch's cross entropy of its logits
or, with ``--loss-in-f``, is the same vertex function whole, which pushes a loss at each vertex. Its
optimizer is one of ``cavs.torch.optim`` or, with ``--pytorch``, of ``torch.optim``, whose Adagrad
of sparse gradients takes several times as long. cavs alone trains by separate calls and by
``Model.step``. Inference gives the classes of all vertices, in evaluation mode. One thread each.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import cavs
import cavs.torch
from cavs.bench.corpora import Corpus, choose_batches
from cavs.bench.recipes import SST, Recipe, find_recipe, make_optimizer, with_dropout
from cavs.bench.workloads import find

HIDDEN, WARM_UP = 150, 30
LAYER, CALLS, STEP = "layer", "calls", "step"
ADAGRAD, SGD = "adagrad", "sgd"


class InCavs:
    """The model in cavs alone; `fused`: by ``Model.step``."""

    def set_mode(self, training: bool) -> None:
        """As in training, or in evaluation."""
        (self.model.train if training else self.model.eval)()

    def __init__(
        self, function: Any, corpus: Corpus, recipe: Recipe, optimizer: str, fused: bool
    ) -> None:
        self.fused, self.dataset = fused, corpus.dataset
        self.model = cavs.compile(function)
        self.optimizer = make_optimizer(function, recipe)
        if optimizer == SGD:
            known = ("params", "lr", "weight_decay")
            groups = [{key: group[key] for key in known} for group in self.optimizer.groups]
            self.optimizer = cavs.optim.SGD(groups, lr=recipe.lr)

    def train(self, indices: Any) -> float:
        """A step; gives the loss."""
        graphs, inputs = self.dataset.batch(indices)
        scale = 1 / graphs.num_graphs
        if self.fused:
            return self.model.step(graphs, self.optimizer, scale=scale, **inputs).item()
        loss = self.model(graphs, **inputs)["loss"].sum() * scale
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def infer(self, indices: Any) -> Any:
        """The classes."""
        graphs, inputs = self.dataset.batch(indices)
        with cavs.no_grad():
            return self.model(graphs, **inputs)["logits"].numpy().argmax(axis=1)


class InTorch:
    """The model as a layer, trained by PyTorch."""

    def set_mode(self, training: bool) -> None:
        """As in training, or in evaluation."""
        self.layer.train(training)
        self.whole.train(training)

    def __init__(
        self, function: Any, corpus: Corpus, recipe: Recipe, options: argparse.Namespace
    ) -> None:
        self.dataset, self.loss_in_f = corpus.dataset, options.loss_in_f
        self.layer = cavs.torch.Layer(function, outputs=["logits"], sparse=True)
        # The same parameters; training of the whole function gives the loss alone.
        self.whole = cavs.torch.Layer(function, outputs=["loss"], sparse=True)
        embedding = self.layer.embedding.weight
        rest = [p for p in self.layer.parameters() if p is not embedding]
        name = {SGD: "SGD", ADAGRAD: "Adagrad"}[options.optimizer]
        groups: list[dict[str, Any]] = [
            {"params": rest, "lr": recipe.lr, "weight_decay": recipe.weight_decay},
            {"params": [embedding], "lr": recipe.embedding_lr},
        ]
        if options.pytorch:  # fused ones take no sparse gradients
            kind: Any = getattr(torch.optim, name)
            self.optimizers = [kind(groups[:1], fused=True), kind(groups[1:])]
        else:
            self.optimizers = [getattr(cavs.torch.optim, name)(groups)]

    def batch(self, indices: Any) -> tuple[cavs.GraphBatch, dict[str, torch.Tensor]]:
        """Graphs, and words and labels as tensors of the data set's int32."""
        graphs, inputs = self.dataset.batch(indices)
        return graphs, {name: torch.from_numpy(x) for name, x in inputs.items()}

    def train(self, indices: Any) -> float:
        """A step; gives the loss."""
        graphs, inputs = self.batch(indices)
        if self.loss_in_f:
            loss = self.whole(graphs, **inputs)["loss"].sum()
        else:
            label = inputs.pop("label").long()  # as PyTorch's cross entropy takes it
            logits = self.layer(graphs, **inputs)["logits"]
            loss = cross_entropy(logits, label, ignore_index=-1, reduction="sum")
        loss = loss / graphs.num_graphs
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()

    def infer(self, indices: Any) -> Any:
        """The classes."""
        graphs, inputs = self.batch(indices)
        with torch.no_grad():
            return self.layer(graphs, word=inputs["word"])["logits"].argmax(1).numpy()


def contenders(corpus: Corpus, recipe: Recipe, options: argparse.Namespace) -> dict[str, Any]:
    """By name, of the same initial weights."""

    def function() -> Any:
        cavs.nn.init.manual_seed(0)
        return with_dropout(find("tree-lstm").function(corpus, HIDDEN), recipe)

    return {
        LAYER: InTorch(function(), corpus, recipe, options),
        CALLS: InCavs(function(), corpus, recipe, options.optimizer, fused=False),
        STEP: InCavs(function(), corpus, recipe, options.optimizer, fused=True),
    }


def check(corpus: Corpus, batches: Any, options: argparse.Namespace) -> None:
    """Without dropout all have the same losses while they train, and then the same classes."""
    found = contenders(corpus, replace(find_recipe(SST), dropout=0.0), options)
    losses = [[each.train(indices) for indices in batches[:4]] for each in found.values()]
    np.testing.assert_allclose(losses[1:], [losses[0]] * (len(losses) - 1), rtol=1e-4)
    for each in found.values():
        each.set_mode(training=False)
    classes = [each.infer(batches[0]) for each in found.values()]
    agreeing = [float(np.mean(classes[0] == each)) for each in classes]
    assert min(agreeing) > 0.999, agreeing


def measure(calls: dict[str, Callable[[Any], Any]], batches: Any, steps: int) -> dict[str, Any]:
    """Seconds of each step by contender; who begins changes from turn to turn."""
    names = list(calls)
    times = np.zeros((WARM_UP + steps, len(names)))
    for number in range(len(times)):
        indices = batches[number % len(batches)]
        for position in range(len(names)):
            which = (position + number) % len(names)
            begin = time.perf_counter()
            calls[names[which]](indices)
            times[number, which] = time.perf_counter() - begin
    return dict(zip(names, times[WARM_UP:].T, strict=True))


def rows(corpus: Corpus, batch_size: int, options: argparse.Namespace) -> list[str]:
    """Rows of the table: training and inference."""
    batches = choose_batches(corpus.dataset, batch_size)
    check(corpus, batches, options)
    found = contenders(corpus, find_recipe(SST), options)
    lines = []
    for mode, names in (("train", (LAYER, CALLS, STEP)), ("infer", (LAYER, CALLS))):
        for each in found.values():
            each.set_mode(mode == "train")
        calls = {name: getattr(found[name], mode) for name in names}
        times = measure(calls, batches, options.steps)
        cells = [f"{1e3 * np.median(times[name]):.2f} ms" for name in names]
        for name in names[1:]:
            low, middle, high = np.percentile(times[name] / times[LAYER], [25, 50, 75])
            cells.append(f"**{middle:.3f}** ({low:.3f} .. {high:.3f})")
        if mode == "infer":
            cells = [*cells[:2], "", *cells[2:], ""]
        lines.append(f"| {mode} | {batch_size} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    # PyTorch's Adagrad makes sparse tensors of its own and warns of it.
    warnings.filterwarnings("ignore", message="Sparse invariant checks")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[25, 256])
    parser.add_argument("--samples", type=int, default=2000, help="trees, without --data")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--optimizer", choices=[ADAGRAD, SGD], default=ADAGRAD)
    parser.add_argument("--pytorch", action="store_true", help="an optimizer of torch.optim")
    parser.add_argument("--loss-in-f", action="store_true", help="the loss is F's own")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cavs.set_num_threads(1)
    corpus = find("tree-lstm").data(options.data, options.samples)
    print(
        "| mode | batch | layer | separate calls | Model.step | calls / layer (quartiles) | "
        "step / layer (quartiles) |\n|---|---|---|---|---|---|---|"
    )
    for batch_size in options.batch_sizes:
        print(*rows(corpus, batch_size, options), sep="\n", flush=True)


if __name__ == "__main__":
    main()
