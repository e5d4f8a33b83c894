"""Prints how many bytes a first call is predicted to take, and how many it takes, in a process that
does nothing else: MODEL THREADS DTYPE training|retained|inference."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs import models

RANDOM = np.random.default_rng(0)


class Case:
    """Calls by function, in order, and the loss of what they push."""

    def __init__(self, function: Any, dtype: str, **options: Any) -> None:
        self.model = cavs.compile(function, dtype=dtype, **options)
        self.inputs: dict[str, tuple[cavs.GraphBatch, dict[str, Any]]] = {}

    def call(self, graphs: cavs.GraphBatch, name: str = "", **inputs: Any) -> None:
        self.inputs[name] = (graphs, inputs)

    def _ids(self) -> dict[str, tuple[cavs.GraphBatch, dict[str, Any]]]:
        return {
            name: (graphs, {k: x for k, x in given.items() if x.dtype == np.int32})
            for name, (graphs, given) in self.inputs.items()
        }

    def predict(self, training: bool, retain: bool) -> int:
        if isinstance(self.model, cavs.Program):
            return self.model.memory(self._ids(), gradients=training, retain=retain)
        graphs, ids = self._ids()[""]
        return self.model.memory(graphs, gradients=training, retain=retain, **ids)

    def run(self, training: bool, retain: bool) -> None:
        model: Any = self.model
        if isinstance(model, cavs.Program):
            graphs, given = self.inputs["before"]
            before = model["before"](graphs, **given)
            graphs, given = self.inputs["after"]
            out = model["after"](graphs, before=before["h"], **given)
        else:
            graphs, given = self.inputs[""]
            out = model(graphs, **given)
        if training:
            loss = out["log_weight" if "log_weight" in out else "loss"].sum()
            loss.backward(retain_graph=retain)


def ids(count: int, limit: int) -> Any:
    """As words: few often, many seldom."""
    return (RANDOM.zipf(1.3, count) % limit).astype(np.int32)


def trees(count: int) -> cavs.GraphBatch:
    return cavs.batch([tree(int(RANDOM.integers(5, 40))) for _ in range(count)])


def tree(leaves: int) -> cavs.InputGraph:
    children: list[list[int]] = [[] for _ in range(leaves)]
    roots = list(range(leaves))
    while len(roots) > 1:
        left = int(RANDOM.integers(len(roots) - 1))
        children.append([roots[left], roots.pop(left + 1)])
        roots[left] = len(children) - 1
    return cavs.InputGraph(children)


def chains(count: int, length: int) -> cavs.GraphBatch:
    chain = cavs.InputGraph([[], *([i] for i in range(length - 1))])
    return cavs.batch([chain] * count)


def lattice_of(length: int) -> cavs.InputGraph:
    children: list[list[int]] = [[]]
    types, characters = ["char"], [0]
    for j in range(1, length):
        found = [characters[-1]]
        for b in range(max(0, j - 4), j - 1):
            if RANDOM.random() < 0.3:
                found.append(len(children))
                children.append([characters[b]])
                types.append("word")
        characters.append(len(children))
        children.append(found)
        types.append("char")
    return cavs.InputGraph(children, types=types)


def tree_lstm(dtype: str, kind: Any, count: int, vocabulary: int = 20_000) -> Case:
    case = Case(kind(vocabulary, 300, 150, 5), dtype)
    graphs = trees(count)
    leaf = np.diff(graphs.child_ptr) == 0
    word = np.where(leaf, ids(graphs.num_vertices, vocabulary), -1).astype(np.int32)
    case.call(graphs, word=word, label=ids(graphs.num_vertices, 5))
    return case


def language_model(dtype: str, count: int, outputs: list[str] | None) -> Case:
    function = models.LSTMLanguageModel(10_000, 200, 2)
    case = Case(function, dtype, outputs=outputs)
    graphs = chains(count, 35)
    first = np.zeros(graphs.num_vertices, dtype)
    first[graphs.ptr[:-1]] = 1
    case.call(
        graphs,
        word=ids(graphs.num_vertices, 10_000),
        label=ids(graphs.num_vertices, 10_000),
        first=first,
        state=np.zeros((count, function.state_size), dtype),
    )
    return case


def vae(dtype: str, count: int, samples: int) -> Case:
    case = Case(models.VAE(784, 200, 50), dtype)
    graphs = cavs.batch([cavs.InputGraph([[] for _ in range(samples)])] * count)
    case.call(graphs, image=RANDOM.random((count, 784)).astype(dtype))
    return case


def lattice(dtype: str, count: int) -> Case:
    case = Case(models.LatticeLSTM(20_000, 20_000, 50, 200, 10), dtype)
    graphs = cavs.batch([lattice_of(int(RANDOM.integers(20, 60))) for _ in range(count)])
    characters, words = (len(graphs.vertices(kind)) for kind in ("char", "word"))
    case.call(
        graphs,
        character=ids(characters, 20_000),
        word=ids(words, 20_000),
        label=ids(characters, 10),
    )
    return case


def program(dtype: str, count: int) -> Case:
    tagger = models.BiLSTMTagger(20_000, 100, 200, 10)
    functions = {"before": tagger.before, "after": tagger.after}
    case = Case(cavs.VertexProgram(functions), dtype)
    graphs = chains(count, 40)
    word = ids(graphs.num_vertices, 20_000)
    case.call(graphs, "before", word=word)
    case.call(graphs.reverse(), "after", word=word, label=ids(graphs.num_vertices, 10))
    return case


CASES: dict[str, Callable[[str, bool], Case]] = {
    "tree_lstm": lambda d, training: tree_lstm(
        d, models.ChildSumTreeLSTM, 1500 if training else 2000
    ),
    "nary_tree_lstm": lambda d, training: tree_lstm(
        d, models.NaryTreeLSTM, 1000 if training else 3000
    ),
    "large_vocabulary": lambda d, training: tree_lstm(d, models.ChildSumTreeLSTM, 1500, 200_000),
    "language_model": lambda d, training: language_model(d, 60 if training else 150, None),
    "language_model_loss": lambda d, training: language_model(
        d, 80 if training else 1500, ["loss"]
    ),
    "vae": lambda d, training: vae(d, 500 if training else 1400, 50),
    "lattice": lambda d, training: lattice(d, 300 if training else 1000),
    "program": lambda d, training: program(d, 500 if training else 2000),
}


def status(key: str) -> int:
    """Bytes, from what Linux says of the process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(key))
    return int(line.split()[1]) * 1024


def main(name: str, threads: str, dtype: str, mode: str) -> None:
    cavs.set_num_threads(int(threads))
    training, retain = mode != "inference", mode == "retained"
    case = CASES[name](dtype, training)
    if not training:
        case.model.eval()
    predicted = case.predict(training, retain)
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the greatest size begins anew
    if training:
        case.run(training, retain)
    else:
        with cavs.no_grad():
            case.run(training, retain)
    print(predicted, status("VmHWM") - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
