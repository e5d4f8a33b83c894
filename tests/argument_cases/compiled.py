"""Calls of compiled models and programs, of growing graphs, and of the library's models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from argument_cases.base import BATCH, EXTRA, WORD, Case, Cell, Chain
from cavs import models, optim


def model_cases() -> Iterator[Case]:
    options = {
        "function": Cell(),
        "dtype": "float32",
        "outputs": ["h"],
        "passes": ["simplify"],
        "policy": "batching",
        "executor": "native",
        "device": "cpu",
        "seed": 0,
        "extra_children": "error",
    }
    yield Case("compile", cavs.compile, options)
    program = cavs.VertexProgram({"a": Cell()})
    yield Case("compile", cavs.compile, {**options, "function": program, "outputs": None})
    yield Case("VertexProgram", cavs.VertexProgram, {"functions": {"a": Cell()}})
    yield Case("VertexProgram", lambda f: cavs.VertexProgram({"a": f}), {"f": Cell()})
    yield Case("Module.named_parameters", Cell().named_parameters, {"prefix": ""})
    state = Cell().state_dict()
    yield Case("Module.load_state_dict", Cell().load_state_dict, {"state": state})
    loose = {"state": state, "strict": False}
    yield Case("Module.load_state_dict", Cell().load_state_dict, loose)
    yield Case("Module.named_modules", Cell().named_modules, {"prefix": ""})
    value = lambda x: Cell().load_state_dict({**state, "u.bias": x})  # noqa: E731
    yield Case("Module.load_state_dict", value, {"x": state["u.bias"]})
    for owner in (Cell(), cavs.compile(Cell())):
        yield Case("requires_grad_", owner.requires_grad_, {"requires_grad": False})

    model = cavs.compile(Cell())
    inputs = {"word": WORD, "extra": EXTRA}
    yield Case("Model", lambda graphs, **given: model(graphs, **given), {"graphs": BATCH, **inputs})
    asked = {"graphs": BATCH, "outputs": ["h"], **inputs}
    yield Case("Model", lambda graphs, **given: model(graphs, **given), asked)
    yield Case("Model", lambda name: model(BATCH, outputs=[name], **inputs), {"name": "h"})
    trainer = optim.SGD(model.parameters(), 0.0)
    step = {"loss": "loss", "scale": 1.0, "clip_norm": 0.0}
    given = {"graphs": BATCH, "optimizer": trainer, **step, **inputs}
    yield Case(
        "Model.step", lambda graphs, optimizer, **g: model.step(graphs, optimizer, **g), given
    )
    explained = {
        "graphs": BATCH,
        "loss": "loss",
        "outputs": ["loss"],
        "repeats": 1,
        "why": "all",
        **inputs,
    }
    yield Case("Model.explain", lambda graphs, **g: model.explain(graphs, **g), explained)
    memory = {"graphs": BATCH, "gradients": True, "retain": True, "outputs": ["h"], **inputs}
    yield Case("Model.memory", lambda graphs, **g: model.memory(graphs, **g), memory)
    yield Case("Model.memory", lambda name: model.memory(BATCH, gradients=[name]), {"name": "h"})
    shown = {"graphs": BATCH, "vertex": (0, 0), **inputs}
    yield Case("Model.values", lambda graphs, **g: model.values(graphs, **g), shown)
    number = {"graph": 0, "vertex": 0}
    at = lambda graph, vertex: model.values(BATCH, vertex=(graph, vertex), **inputs)  # noqa: E731
    yield Case("Model.values", at, number)
    loaded = {"state": state, "strict": True}
    for given in ({}, {"outputs": ["h"]}):
        summed = {"graphs": BATCH, **inputs, **given}
        yield Case("Model.summary", lambda graphs, **g: model.summary(graphs, **g), summed)
    yield Case("Model.to", cavs.compile(Cell()).to, {"device": "cpu", "dtype": "float64"})
    yield Case("Model.load_state_dict", model.load_state_dict, loaded)
    yield Case("Model.train", cavs.compile(Cell()).train, {"mode": False})
    yield Case("Model.named_modules", model.named_modules, {"prefix": ""})
    yield Case("Model.set_random_state", model.set_random_state, {"state": model.random_state()})

    folder = Path(tempfile.mkdtemp())
    yield Case(
        "save",
        lambda m: cavs.save(m, folder / "model"),
        {"m": cavs.compile(models.TreeFC(5, 4, 4, 2))},
    )
    cavs.save(cavs.compile(models.TreeFC(5, 4, 4, 2)), folder / "other")
    yield Case("load", cavs.load, {"path": folder / "other", "trust": ("a.b",), "device": "cpu"})
    whole = cavs.compile(program)
    yield Case("Program", whole.__getitem__, {"name": "a"})
    yield Case(
        "Program.to",
        cavs.compile(cavs.VertexProgram({"a": Cell()})).to,
        {"device": "cpu", "dtype": "float32"},
    )
    yield Case("Program.summary", lambda c: whole.summary(c), {"c": {"a": (BATCH, inputs)}})
    yield Case("Program.train", whole.train, {"mode": True})
    loaded = {"state": whole.state_dict(), "strict": False}
    yield Case("Program.load_state_dict", whole.load_state_dict, loaded)
    yield Case("Program.explain", whole.explain, {"why": "most"})
    yield Case("Program.explain", lambda c: whole.explain(c), {"c": {"a": (BATCH, inputs)}})
    explain = lambda graphs, given: whole.explain({"a": (graphs, given)}, repeats=1)  # noqa: E731
    yield Case("Program.explain", explain, {"graphs": BATCH, "given": inputs})
    repeats = lambda repeats: whole.explain({"a": (BATCH, inputs)}, repeats=repeats)  # noqa: E731
    yield Case("Program.explain", repeats, {"repeats": 1})
    calls = {"calls": {"a": (BATCH, inputs)}, "gradients": {"a": True}, "retain": True}
    yield Case("Program.memory", lambda calls, **g: whole.memory(calls, **g), calls)
    call = lambda call: whole.memory({"a": call})  # noqa: E731
    yield Case("Program.memory", call, {"call": (BATCH, inputs)})
    yield Case("Program.set_random_state", whole.set_random_state, {"state": whole.random_state()})


def unfold_cases() -> Iterator[Case]:
    model = cavs.compile(Chain())
    word = np.int32([1, 2])
    z = np.zeros((2, 4), np.float32)

    def grow(
        model: Any = model,
        children: Any = ((), ()),
        inputs: Any = None,
        graph: Any = (0, 1),
        grown: Any = None,
        **options: Any,
    ) -> Any:
        given = {"word": word} if inputs is None else inputs
        if isinstance(grown, type):  # whose own error comes where it is called
            return None
        return cavs.unfold(model, cavs.Growth(children, given, graph), grown, **options)

    def once(frontier: cavs.Frontier) -> cavs.Growth | None:
        return cavs.Growth(frontier.vertices, {"word": word}) if frontier.level < 1 else None

    good = {"grown": once, "num_graphs": 2, "graph_inputs": {"z": z}, "keys": [5, 6]}
    limits = {"max_levels": 5, "max_vertices": 5, "outputs": ["h"], "keep": ["h"]}
    yield Case("unfold", grow, {"model": model, **good, **limits})
    first = {"children": [[], []], "inputs": {"word": word}, "graph": [0, 1]}
    yield Case("unfold: roots", lambda **given: grow(**given, **good), first)
    whole = lambda roots: cavs.unfold(model, roots, once, num_graphs=2)  # noqa: E731
    yield Case("unfold: roots", whole, {"roots": cavs.Growth([])})
    one = lambda word: grow(inputs={"word": word}, **good)  # noqa: E731
    yield Case("unfold: inputs", one, {"word": word})

    def then(
        children: Any = None,
        inputs: Any = None,
        graph: Any = None,
        growth: Any = None,
        forget: Any = (),
    ) -> Any:
        given = cavs.Growth(children, inputs, graph, forget=forget) if growth is None else growth
        found = [given]
        return grow(**{**good, "grown": lambda frontier: found.pop() if found else None})

    more = {"children": [[0], [1]], "inputs": {"word": word}, "graph": [0, 1], "forget": [0, 1]}
    yield Case("unfold: growth", then, more)
    yield Case("unfold: growth", then, {"growth": cavs.Growth([[0], [1]], {"word": word})})
    yield from _growth_with_types()


class Counted(cavs.VertexFunction):
    """Adds up what it pulls."""

    def forward(self, v: cavs.Vertex) -> None:
        n = v.gather(of="a", n=()).n.sum() + v.pull("x")
        v.scatter(n=n)
        v.push(n=n)


def _growth_with_types() -> Iterator[Case]:
    model = cavs.compile(cavs.TypedFunction({"a": Counted(), "b": Counted()}))
    x = np.ones(2, np.float32)
    frontiers: list[cavs.Frontier] = []

    def grow(types: Any, x: Any = x) -> Any:
        roots = cavs.Growth([[], []], {"x": x}, [0, 1], types=types)
        return cavs.unfold(model, roots, frontiers.append, num_graphs=2)  # type: ignore[arg-type]

    yield Case("unfold: types", grow, {"types": ["a", "b"], "x": x})
    yield Case("unfold: types", grow, {"types": np.array([0, 1])})
    grow(["a", "b"])
    yield Case("Frontier.rows", frontiers[0].rows, {"of": ["a", 1]})
    yield Case("Frontier.rows", frontiers[0].rows, {"of": "a"})


def model_class_cases() -> Iterator[Case]:
    sizes = {"vocab_size": 5, "embedding_size": 4, "hidden_size": 4, "num_classes": 2}
    drops = {"dropout": 0.1, "embedding_dropout": 0.1, "embedding_dropout_by": "id"}
    common = {**sizes, **drops}
    arguments: dict[Any, dict[str, Any]] = {
        models.ChildSumTreeLSTM: common,
        models.NaryTreeLSTM: {**common, "arity": 2},
        models.ShapedTreeLSTM: common,
        models.ShapedNaryTreeLSTM: {**common, "arity": 2},
        models.ChildSumTreeGRU: common,
        models.TreeFC: common,
        models.LSTM: common,
        models.GRU: common,
        models.LatticeLSTM: {
            "num_characters": 5,
            "num_words": 6,
            **{name: value for name, value in common.items() if name != "vocab_size"},
        },
        models.MVRNN: {"vocab_size": 5, "hidden_size": 4, "num_classes": 2, "dropout": 0.1},
        models.BiLSTMTagger: common,
        models.DAGRNN: {"input_size": 3, "hidden_size": 4, "num_classes": 2, "dropout": 0.1},
        models.LSTMLanguageModel: {"vocab_size": 5, "hidden_size": 4, "num_layers": 2, **drops},
        models.TransformerXL: {
            "vocab_size": 5,
            "size": 4,
            "num_layers": 1,
            "num_heads": 2,
            "inner_size": 4,
            "context": 4,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "tied": True,
        },
        models.SentenceVAE: {"vocab_size": 5},
        models.ShiftReduceParser: {"vocab_size": 5, "embedding_size": 4, "hidden_size": 4, **drops},
        models.VAE: {"image_size": 4, "hidden_size": 4, "latent_size": 2, "dropout": 0.1},
        models.SigmoidBeliefNetwork: {"image_size": 4, "hidden_size": 4, "layers": 2},
        models.TreeVAE: {"num_productions": 3, "num_slots": 2},
    }
    for make, given in arguments.items():
        yield Case(make.__name__, make, given)
