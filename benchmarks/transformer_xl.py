"""What a training step of Transformer-XL takes, beside PyTorch, and its evaluation with a memory,
beside one without.

    python benchmarks/transformer_xl.py [--layers N] [--size N] [--heads N] [--length N]
        [--memory N] [--streams N] [--words N] [--tied] [--attention-dropout P] [--threads N]
        [--rounds N] [--quick]
    python benchmarks/transformer_xl.py --evaluation [--before N ...]   # and the same options

A step is the forward pass over a segment of each stream and the memory of the segments before, the
gradients of all parameters, Adam, and the memory of the next step. PyTorch has the same model as
programs of it have it: keys and values of memory and segment in one product, scores of distances
by one product and a shift, `scaled_dot_product_attention`, fused Adam. Both begin from the same
parameters, and the losses of their first steps are compared. With dropout of the weights of
attention PyTorch draws others; then cavs runs a second time with attention on edges, to the same
loss. Calls take turns; times are medians of the process's own time.

--evaluation measures in cavs alone what Dai et al. (2019, section 4.5) call evaluation speed: the
loss of each word of a text, which sees so many words before it. A model without a memory computes
the window of each word anew; --streams windows run at a time, and the last layer at their last
words alone. With a memory a word is computed once: the text is read in segments of --length words,
or word by word, as where a model writes. Before a text is longer than what a word sees both must
give one loss, which is checked.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import cavs
from cavs import data
from cavs.core.passes import PASSES
from cavs.models import TransformerXL
from cavs.models.transformer_xl import sinusoids

LR = 1e-4
ON_EDGES = tuple(name for name in PASSES if name != "fuse_attention")


class TorchLayer(torch.nn.Module):
    def __init__(self, source: Any, keys: Any) -> None:
        super().__init__()
        self.heads, self.dropout = source.shape[0], source.attention_dropout

        def taken(parameter: Any) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.tensor(np.array(parameter.data)))

        self.query, self.output = taken(source.query.weight), taken(source.output.weight)
        self.keys, self.relative = taken(keys.weights.weight), taken(source.relative.weight)
        self.u, self.w = taken(source.u), taken(source.w)
        self.norms = torch.nn.ParameterList(
            [taken(x) for norm in (source.norm1, source.norm2) for x in (norm.weight, norm.bias)]
        )
        inner = (source.inner1, source.inner2)
        self.inner = torch.nn.ParameterList([taken(x) for y in inner for x in (y.weight, y.bias)])

    def forward(self, x: Any, memory: Any, distances: Any, mask: Any) -> Any:
        streams, words, size = x.shape
        every = torch.cat([memory, x], 1)
        rows, heads, head_size = every.shape[1], self.heads, size // self.heads
        q = functional.linear(x, self.query).view(streams, words, heads, head_size)
        k, v = (
            functional.linear(every, self.keys)
            .view(streams, rows, 2, heads, -1)
            .permute(2, 0, 3, 1, 4)
        )
        r = (
            functional.linear(distances, self.relative)
            .view(rows, heads, head_size)
            .permute(1, 2, 0)
        )
        of_distance = torch.matmul((q + self.w).transpose(1, 2), r)
        shifted = functional.pad(of_distance, (1, 0)).view(streams, heads, rows + 1, words)
        of_distance = shifted[:, :, 1:].reshape(streams, heads, words, rows)
        bias = of_distance * head_size**-0.5 + mask
        y = functional.scaled_dot_product_attention(
            (q + self.u).transpose(1, 2), k, v, attn_mask=bias, dropout_p=self.dropout
        )
        y = functional.linear(y.transpose(1, 2).reshape(streams, words, size), self.output)
        w1, b1, w2, b2 = self.norms
        x = functional.layer_norm(x + y, (size,), w1, b1)
        i1, c1, i2, c2 = self.inner
        return functional.layer_norm(
            x + functional.linear(functional.relu(functional.linear(x, i1, c1)), i2, c2),
            (size,),
            w2,
            b2,
        )


class TorchModel(torch.nn.Module):
    def __init__(self, function: TransformerXL, length: int, memory: int) -> None:
        super().__init__()
        functions: Any = function.functions()
        embedding = functions["word"].embedding.weight
        self.embedding = torch.nn.Parameter(torch.tensor(np.array(embedding.data)))
        self.layers = torch.nn.ModuleList()
        below = functions["word"]
        for n in range(1, function.num_layers + 1):
            self.layers.append(TorchLayer(functions[f"layer{n}"], below.above))
            below = functions[f"layer{n}"]
        self.tied = below.logits.weight is embedding
        self.output = torch.nn.Parameter(torch.tensor(np.array(below.logits.weight.data)))
        self.bias = torch.nn.Parameter(torch.tensor(np.array(below.logits.bias.data)))
        rows = length + memory
        self.register_buffer("distances", torch.tensor(sinusoids(rows, function.size)))
        masked = torch.full((length, rows), float("-inf"))
        self.register_buffer("mask", masked.triu(memory + 1))

    def forward(self, words: Any, memories: list[Any]) -> tuple[Any, list[Any]]:
        x = functional.embedding(words, self.embedding) * math.sqrt(self.embedding.shape[1])
        remembered = []
        for layer, memory in zip(self.layers, memories, strict=True):
            remembered.append(torch.cat([memory, x.detach()], 1)[:, -memory.shape[1] :])
            x = layer(x, memory, self.distances, self.mask)
        return functional.linear(
            x, self.embedding if self.tied else self.output, self.bias
        ), remembered


def steps_of(options: Any) -> tuple[dict[str, Callable[[], float]], int]:
    """A step of each, which gives its loss by word, and the number of parameters."""
    length, memory, streams = options.length, options.memory, options.streams
    cavs.manual_seed(0)
    function = TransformerXL(
        options.words,
        options.size,
        options.layers,
        options.heads,
        context=length + memory,
        attention_dropout=options.attention_dropout,
        tied=options.tied,
    )
    torch_model = TorchModel(function, length, memory)
    draw = np.random.default_rng(0)
    ids = draw.integers(0, options.words, (2, streams * length)).astype(np.int32)
    rows = draw.standard_normal((streams, options.layers, memory, options.size)).astype(np.float32)
    words, labels = (torch.tensor(x).long().view(streams, length) for x in ids)
    memories = [torch.tensor(rows[:, n].copy()) for n in range(options.layers)]
    learned = [
        p for p in torch_model.parameters() if p is not torch_model.output or not torch_model.tied
    ]
    torch_optimizer = torch.optim.Adam(learned, lr=LR, fused=True)

    def torch_step() -> float:
        torch_optimizer.zero_grad()
        logits, memories[:] = torch_model(words, memories)
        loss = functional.cross_entropy(logits.view(-1, options.words), labels.view(-1))
        loss.backward()
        torch_optimizer.step()
        return float(loss.detach())

    graphs = cavs.batch([data.segment_graph(length, memory, options.layers)] * streams)

    def cavs_step_of(function: TransformerXL, passes: Any = None) -> Callable[[], float]:
        model = cavs.compile(function, outputs=["loss", "memory"], passes=passes)
        model.set_random_state({"seed": 0, "step": 0})
        optimizer = cavs.optim.Adam(model.parameters(), lr=LR)
        remembered = rows.reshape(-1, options.size)

        def step() -> float:
            nonlocal remembered
            out = model(graphs, word=ids[0], label=ids[1], memory=remembered)
            loss = out["loss"].sum() * (1.0 / (streams * length))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            remembered = function.next_memory(remembered, out["memory"], streams, memory)
            return float(loss.item())

        return step

    calls = {"PyTorch": torch_step, "cavs": cavs_step_of(function)}
    if options.attention_dropout:
        calls["on edges"] = cavs_step_of(copy.deepcopy(function), ON_EDGES)
    return calls, sum(p.data.size for p in function.parameters())


def window_graph(words: int, layers: int) -> cavs.InputGraph:
    """`cavs.data.segment_graph` without a memory, and without the last layer but at its last word.

    Vertex i of a layer reads the vertices 0..i of the layer below, so those are needed.
    """
    types = [name for n in range(layers) for name in [f"layer{n}" if n else "word"] * words]
    counts = np.concatenate([np.zeros(words, np.int64), np.tile(1 + np.arange(words), layers - 1)])
    firsts = np.repeat(np.arange(layers) - 1, words).clip(0) * words
    return cavs.InputGraph.windows(
        [*firsts, (layers - 1) * words], [*counts, words], types=[*types, f"layer{layers}"]
    )


class Evaluation:
    """Losses of the words of a text, each of which sees `before` words."""

    def __init__(self, options: Any, before: int) -> None:
        cavs.manual_seed(0)
        self.options, self.before = options, before
        self.function = TransformerXL(
            options.words,
            options.size,
            options.layers,
            options.heads,
            context=options.length + before,
            tied=options.tied,
        )
        self.with_memory = cavs.compile(self.function, outputs=["loss", "memory"]).eval()
        self.without = cavs.compile(self.function, outputs=["loss"]).eval()
        count = 1 + before + max(options.streams, options.length)
        draw = np.random.default_rng(0)
        self.text = draw.integers(0, options.words, count).astype(np.int32)
        self.nothing = np.zeros((0, options.size), np.float32)
        draws = draw.standard_normal((options.layers * before, options.size))
        self.full = draws.astype(np.float32)

    def windows(self, first: int, count: int) -> Any:
        """Losses of the words first..first + count - 1, after a window of `before` words each."""
        seen = self.before + 1
        ends = np.arange(first, first + count) + 1
        words = np.concatenate([self.text[end - seen : end] for end in ends])
        graphs = cavs.batch([window_graph(seen, self.options.layers)] * count)
        with cavs.no_grad():
            out = self.without(graphs, word=words, label=self.text[ends], memory=self.nothing)
        return out["loss"].numpy()

    def segment(self, first: int, count: int, memory: Any) -> tuple[Any, Any]:
        """Losses of these words, and the memory for what follows."""
        layers = self.options.layers
        graph = data.segment_graph(count, len(memory) // layers, layers)
        words, labels = (self.text[at : at + count] for at in (first, first + 1))
        with cavs.no_grad():
            out = self.with_memory(graph, word=words, label=labels, memory=memory)
        return out["loss"].numpy(), self.function.next_memory(memory, out["memory"], 1, self.before)

    def check(self) -> None:
        memory, length = self.nothing, self.options.length
        for first in range(0, self.before + 1, length):
            losses, memory = self.segment(first, min(length, self.before + 1 - first), memory)
        (expected,) = self.windows(self.before, 1)
        if not math.isclose(losses[-1], expected, rel_tol=1e-4):
            raise SystemExit(f"expected one loss of both, got {losses[-1]} and {expected}")

    def times(self) -> list[float]:
        """Milliseconds by word: windows, word by word, segments."""
        streams, length = self.options.streams, self.options.length
        calls = [
            (lambda: self.windows(self.before, streams), streams),
            (lambda: self.segment(0, 1, self.full), 1),
            (lambda: self.segment(0, length, self.full), length),
        ]
        taken: list[list[float]] = [[] for _ in calls]
        for _ in range(1 + self.options.rounds):
            for (call, words), found in zip(calls, taken, strict=True):
                begin = time.process_time()
                call()
                found.append(1e3 * (time.process_time() - begin) / words)
        return [float(np.median(found[1:])) for found in taken]  # the first compiles


def evaluate(options: Any) -> None:
    print(
        f"Transformer-XL, {options.layers} layers of {options.size}, {options.heads} heads, "
        f"{options.words} words, {options.threads} thread(s): evaluation, ms by word\n\n"
        f"| words before | recomputed | word by word | | segments of {options.length} | |\n"
        "|---|---|---|---|---|---|"
    )
    for before in options.before:
        evaluation = Evaluation(options, before)
        evaluation.check()
        anew, one, many = evaluation.times()
        ratios = [f"{taken:.3f} | {anew / taken:.1f}x" for taken in (one, many)]
        print(f"| {before} | {anew:.2f} | {ratios[0]} | {ratios[1]} |", flush=True)


QUICK = {"layers": 2, "size": 8, "heads": 2, "length": 3, "memory": 4, "streams": 2, "words": 11}
QUICK |= {"rounds": 1, "before": [4, 7]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    for name, default in (
        ("layers", 4),
        ("size", 128),
        ("heads", 4),
        ("length", 64),
        ("memory", 64),
        ("streams", 20),
        ("words", 10_000),
        ("threads", 1),
        ("rounds", 15),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument("--tied", action="store_true", help="logits by the embedding")
    parser.add_argument("--attention-dropout", type=float, default=0.0, metavar="P")
    parser.add_argument("--evaluation", action="store_true", help="with a memory and without")
    parser.add_argument("--before", type=int, nargs="+", default=[64, 128, 256, 512], metavar="N")
    parser.add_argument("--quick", action="store_true", help="does it run? Figures of no use")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    cavs.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    if options.evaluation:
        evaluate(options)
        return
    calls, count = steps_of(options)
    times: dict[str, list[float]] = {name: [] for name in calls}
    losses = {name: call() for name, call in calls.items()}  # the first compiles
    same = [loss for name, loss in losses.items() if name != "PyTorch" or len(losses) == 2]
    if not math.isclose(*same, rel_tol=1e-4):
        raise SystemExit(f"expected one loss of both, got {losses}")
    for _ in range(options.rounds):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            times[name].append(time.process_time() - begin)
    medians = {name: 1e3 * float(np.median(taken)) for name, taken in times.items()}
    print(
        f"Transformer-XL, {options.layers} layers of {options.size}, {options.heads} heads, "
        f"{options.streams} segments of {options.length} words, memory {options.memory}, "
        f"{options.words} words, {count:,} parameters, {options.threads} thread(s)"
    )
    for name, taken in medians.items():
        print(f"{name:8} {taken:9.2f} ms")
    print(f"PyTorch / cavs {medians['PyTorch'] / medians['cavs']:.2f}")


if __name__ == "__main__":
    main()
