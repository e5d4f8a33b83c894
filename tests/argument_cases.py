"""Calls of the public API with good arguments, by component, for tests of wrong ones.

A case is a function and good keyword arguments for it; tests replace one after the other.
"""

from __future__ import annotations

import importlib.util
import operator
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs import data, models, nn, ops, optim
from cavs.nn import distributions as dist
from cavs.nn import estimators, init


@dataclass(frozen=True)
class Case:
    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]


class Cell(cavs.VertexFunction):
    """A small tree function; keeps a symbol and the vertex of its last trace."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4)
        self.u = nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = ops.tanh(x + self.u(v.gather(h=4).h.sum()) + v.pull("extra", 4))
        v.scatter(h=h)
        v.push(h=h, loss=ops.sum(h))


class Chain(cavs.VertexFunction):
    """Grows: pulls a word, and what its child scattered."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = ops.tanh(x + v.gather(0, h=4).h + v.pull_graph("z", 4))
        v.scatter(h=h)
        v.push(h=h)


def symbol() -> Any:
    """A value of a vertex function whose trace is over."""
    kept = []

    class Keeps(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            kept.append(v.pull("x", 4))
            v.push(y=kept[0])

    cavs.compile(Keeps())
    return kept[0]


GRAPH = cavs.InputGraph([[], [], [0, 1]])
BATCH = cavs.batch([GRAPH, GRAPH])
WORD = np.int32([1, 2, -1, 3, 4, -1])
EXTRA = np.zeros((6, 4), np.float32)
TREES = [data.parse_tree("(1 (0 a) (1 b))"), data.parse_tree("(0 (1 c) (1 (0 a) (0 b)))")]
WORDS = data.tree_vocabulary(TREES)
SENTENCES = [["a", "b"], ["c"]]


def parameter() -> nn.Parameter:
    return nn.Parameter(np.zeros((2, 3), np.float32))


def core_cases() -> Iterator[Case]:
    generator = cavs.Generator(0)
    yield Case("Generator", cavs.Generator, {"seed": 0})
    for name in ("uniform", "normal"):
        arguments = {"shape": (2, 3), "dtype": "float32", "keys": [0, 1], "places": [0, 0]}
        yield Case(f"Generator.{name}", getattr(generator, name), arguments)
    yield Case("Generator.set_state", generator.set_state, {"state": {"seed": 0, "step": 1}})
    state = lambda **values: generator.set_state(values)  # noqa: E731
    yield Case("Generator.set_state", state, {"seed": 0, "step": 1})
    made = {"data": [1.0, 2.0], "dtype": "float32", "requires_grad": True}
    for make in (cavs.tensor, cavs.Tensor, cavs.Parameter):
        yield Case(make.__name__, make, made)
    rows = {"indices": np.int32([1]), "values": np.ones((1, 2), np.float32), "shape": (3, 2)}
    yield Case("RowSparse", cavs.RowSparse, rows)
    rows = {"ids": np.int32([1]), "rows": np.ones((1, 2), np.float32), "shape": (3, 2)}
    yield Case("RowSparse.from_rows", cavs.RowSparse.from_rows, rows)
    sparse = cavs.RowSparse(np.int32([1]), np.ones((1, 2), np.float32), (3, 2))
    yield Case("RowSparse.add", sparse.add, {"other": sparse.copy()})
    yield Case("RowSparse.add_to", sparse.add_to, {"dense": np.zeros((3, 2), np.float32)})
    yield Case("RowSparse.scale", sparse.copy().scale, {"factor": 2.0})
    yield Case("manual_seed", cavs.manual_seed, {"seed": 0})
    yield Case("set_num_threads", cavs.set_num_threads, {"count": cavs.get_num_threads()})
    yield Case("set_flush_denormals", cavs.set_flush_denormals, {"enabled": True})
    yield Case("set_detect_nonfinite", cavs.set_detect_nonfinite, {"enabled": False})
    yield Case("detect_nonfinite", cavs.detect_nonfinite, {"enabled": False})


def torch_cases() -> Iterator[Case]:
    """Of ``cavs.torch``, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return
    import cavs.torch

    options = {
        "function": Cell(),
        "outputs": ["h"],
        "dtype": "float32",
        "device": "cpu",
        "seed": 0,
        "sparse": True,
        "policy": "batching",
        "passes": ["simplify"],
    }
    make = lambda function, **rest: cavs.torch.Layer(function, **rest)  # noqa: E731
    yield Case("torch.Layer", make, options)
    layer = cavs.torch.Layer(Cell())
    given = {"word": torch.tensor([1, 2]), "extra": torch.ones(2, 4, requires_grad=True)}
    call = lambda graphs, **rest: layer(graphs, **rest)  # noqa: E731
    yield Case("torch.Layer.__call__", call, {"graphs": GRAPH, **given})
    with torch.no_grad():
        infer = torch.no_grad()(call)
        yield Case("torch.Layer.__call__ without gradients", infer, {"graphs": GRAPH, **given})


def tensor_cases() -> Iterator[Case]:
    x = cavs.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    for name in ("sum", "mean", "max", "min", "logsumexp"):
        yield Case(f"Tensor.{name}", getattr(x, name), {"axis": -1, "keepdims": False})
        yield Case(f"Tensor.{name}", lambda a, f=name: getattr(x, f)((0, a)), {"a": 1})
    yield Case("Tensor.permute", lambda a: x.permute(a), {"a": (1, 0)})
    yield Case("Tensor.permute", lambda a: x.permute(1, a), {"a": 0})
    yield Case("Tensor.clip", x.clip, {"low": -1.0, "high": 1.0})
    for compare in ("eq", "ne", "lt", "le", "gt", "ge"):
        by = getattr(operator, compare)
        yield Case(f"Tensor {compare}", lambda other, by=by: by(x, other), {"other": x})
    yield Case("Tensor.__contains__", lambda value: value in x, {"value": 2.0})
    for join in (cavs.concat, cavs.stack):
        yield Case(join.__name__, join, {"tensors": [x, x], "axis": 0})
        yield Case(join.__name__, lambda a, f=join: f([x, a]), {"a": x})
    yield Case("Tensor.reshape", lambda shape: x.reshape(shape), {"shape": (3, 2)})
    yield Case("Tensor.reshape", lambda a, b: x.reshape(a, b), {"a": 3, "b": 2})
    yield Case("Tensor.astype", x.astype, {"dtype": "float64"})
    yield Case("Tensor.__getitem__", lambda key: x[key], {"key": 0})
    yield Case("Tensor.__getitem__", lambda a, b: x[a, b], {"a": 0, "b": [0, 1]})
    yield Case("Tensor.__getitem__", lambda a, b: x[a:b], {"a": 0, "b": 1})
    for sign in ("add", "sub", "mul", "truediv", "matmul"):
        for side in (f"__{sign}__", f"__r{sign}__"):
            if hasattr(x, side):
                good = np.ones((3, 2) if sign == "matmul" else (2, 3), np.float32)
                yield Case(f"Tensor.{side}", getattr(x, side), {"other": cavs.tensor(good)})
    yield Case("Tensor.__pow__", x.__pow__, {"exponent": 2})
    yield Case("Tensor.__pow__", x.__pow__, {"exponent": 1.5})
    yield Case("Tensor.__rpow__", x.__rpow__, {"base": 2})
    learns = lambda: cavs.tensor(np.ones((2, 3), np.float32), requires_grad=True)  # noqa: E731
    yield Case("Tensor.backward", lambda grad: (learns() * 2).backward(grad), {"grad": x})
    keeping = lambda keep: (learns() * 2).backward(x, retain_graph=keep)  # noqa: E731
    yield Case("Tensor.backward", keeping, {"keep": True})
    yield Case("Tensor.accumulate_grad", lambda grad: learns().accumulate_grad(grad), {"grad": x})

    def set_data(values: Any) -> None:
        learns().data = values
        parameter().data = values

    yield Case("Tensor.data", set_data, {"values": np.ones((2, 3), np.float32)})


def _converted_cases() -> Iterator[Case]:
    if importlib.util.find_spec("networkx"):
        given = {"graph": GRAPH.to_networkx(), "slot": "slot"}
        yield Case("InputGraph.from_networkx", cavs.InputGraph.from_networkx, given)
    if importlib.util.find_spec("nltk"):
        import nltk

        options = {"keep_null": False, "functions": True, "binarize": "head", "marker": "@"}
        given = {"tree": nltk.Tree("S", ["a"]), **options}
        yield Case("phrase_tree", data.phrase_tree, given)

        given = {"tree": nltk.Tree("S", ["a"]), "words": "merged"}
        yield Case("InputGraph.from_nltk", cavs.InputGraph.from_nltk, given)


def graph_cases() -> Iterator[Case]:
    graphs = cavs.InputGraph
    yield Case("InputGraph", graphs, {"children": [[], [0]]})
    yield Case("InputGraph", lambda a, b: graphs([[], a, [b]]), {"a": [0], "b": 1})
    yield Case("InputGraph.from_parents", graphs.from_parents, {"parents": [1, -1]})
    parents = {"parents": [1, -1], "order": "leaf"}
    yield Case("InputGraph.from_parents", graphs.from_parents, parents)
    edges = {"num_vertices": 2, "children": [0], "parents": [1]}
    yield Case("InputGraph.from_edges", graphs.from_edges, edges)
    index = {"edge_index": [[0], [1]], "num_vertices": 2}
    yield Case("InputGraph.from_edge_index", graphs.from_edge_index, index)
    yield from _converted_cases()
    csr = {"child_ptr": [0, 0, 1], "child_index": [0], "child_slot": [1]}
    yield Case("InputGraph.from_csr", graphs.from_csr, csr)
    for make in (cavs.batch, cavs.GraphBatch):
        yield Case(make.__name__, make, {"graphs": [GRAPH], "keys": [3]})
    flat = {"ptr": [0, 2], "child_ptr": [0, 0, 1], "children": [0], "keys": [1], "child_slot": [1]}
    yield Case("GraphBatch.from_csr", cavs.GraphBatch.from_csr, flat)
    yield Case("GraphBatch.schedule", BATCH.schedule, {"policy": "serial"})
    yield Case("GraphBatch.rows", BATCH.rows, {"space": "vertex"})
    yield Case("unbatch", cavs.unbatch, {"batch": BATCH, "values": EXTRA})
    for kind in ("root", "sum", "mean", "max"):
        arguments = {"graphs": BATCH, "x": cavs.tensor(EXTRA), "kind": kind}
        yield Case("readout", cavs.readout, arguments)


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
    explained = {"graphs": BATCH, "loss": "loss", "outputs": ["loss"], "repeats": 1, **inputs}
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
    yield Case("Model.to", cavs.compile(Cell()).to, {"dtype": "float64"})
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
    yield Case("load", cavs.load, {"path": folder / "other", "trust": ("a.b",)})
    whole = cavs.compile(program)
    yield Case("Program", whole.__getitem__, {"name": "a"})
    yield Case(
        "Program.to", cavs.compile(cavs.VertexProgram({"a": Cell()})).to, {"dtype": "float32"}
    )
    yield Case("Program.summary", lambda c: whole.summary(c), {"c": {"a": (BATCH, inputs)}})
    yield Case("Program.train", whole.train, {"mode": True})
    loaded = {"state": whole.state_dict(), "strict": False}
    yield Case("Program.load_state_dict", whole.load_state_dict, loaded)
    yield Case("Program.explain", whole.explain, {})
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
    limits = {"max_levels": 5, "max_vertices": 5, "outputs": ["h"]}
    yield Case("unfold", grow, {"model": model, **good, **limits})
    first = {"children": [[], []], "inputs": {"word": word}, "graph": [0, 1]}
    yield Case("unfold: roots", lambda **given: grow(**given, **good), first)
    whole = lambda roots: cavs.unfold(model, roots, once, num_graphs=2)  # noqa: E731
    yield Case("unfold: roots", whole, {"roots": cavs.Growth([])})
    one = lambda word: grow(inputs={"word": word}, **good)  # noqa: E731
    yield Case("unfold: inputs", one, {"word": word})

    def then(
        children: Any = None, inputs: Any = None, graph: Any = None, growth: Any = None
    ) -> Any:
        given = cavs.Growth(children, inputs, graph) if growth is None else growth
        found = [given]
        return grow(**{**good, "grown": lambda frontier: found.pop() if found else None})

    more = {"children": [[0], [1]], "inputs": {"word": word}, "graph": [0, 1]}
    yield Case("unfold: growth", then, more)
    yield Case("unfold: growth", then, {"growth": cavs.Growth([[0], [1]], {"word": word})})


def layer_cases() -> Iterator[Case]:
    linear = {"in_features": 2, "out_features": 3, "bias": True, "dtype": "float32"}
    yield Case("Linear", nn.Linear, linear)
    embedding = {"num_embeddings": 2, "embedding_size": 3, "std": 1.0, "dtype": "float32"}
    yield Case("Embedding", nn.Embedding, embedding)
    yield Case("Embedding", nn.Embedding, {**embedding, "values": np.zeros((2, 3))})
    yield Case("LayerNorm", nn.LayerNorm, {"size": 2, "eps": 1e-5, "dtype": "float32"})
    yield Case("Dropout", nn.Dropout, {"p": 0.5, "by": "vertex"})
    x = cavs.tensor(np.ones((2, 3), np.float32))
    yield Case("Linear()", nn.Linear(3, 2).__call__, {"x": x})
    yield Case("Embedding()", nn.Embedding(3, 2).__call__, {"ids": np.int32([0, 1])})
    yield Case("LayerNorm()", nn.LayerNorm(3).__call__, {"x": x})
    yield Case("init.manual_seed", init.manual_seed, {"seed": 0})
    yield Case("init.set_state", init.set_state, {"state": init.get_state()})
    fills: dict[str, dict[str, Any]] = {
        "uniform_": {"low": 0.0, "high": 1.0},
        "normal_": {"mean": 0.0, "std": 1.0},
        "constant_": {"value": 1.0},
        "xavier_uniform_": {"gain": 1.0},
        "xavier_normal_": {"gain": 1.0},
        "orthogonal_": {"gain": 1.0},
    }
    for name, arguments in fills.items():
        fill = getattr(init, name)
        yield Case(f"init.{name}", fill, {"parameter": parameter(), **arguments})


def distribution_cases() -> Iterator[Case]:
    x = cavs.tensor(np.ones((2, 3), np.float32))
    generator = cavs.Generator(0)
    made: dict[str, dict[str, Any]] = {
        "Normal": {"mean": x, "std": x},
        "Bernoulli": {"logits": x},
        "Categorical": {"logits": x},
        "Uniform": {"low": x, "high": x + 1},
    }
    for name, arguments in made.items():
        make = getattr(dist, name)

        def use(make: Any = make, **given: Any) -> None:
            found = make(**given)
            found.log_prob(x)
            found.sample(generator)
            found.entropy()
            if hasattr(found, "mean"):
                _ = found.mean

        yield Case(name, use, arguments)
        good = make(**arguments)
        yield Case(f"{name}.log_prob", good.log_prob, {"x": x})
        yield Case(f"{name}.sample", good.sample, {"generator": generator})
    relaxed = dist.Categorical(x).relaxed_sample
    yield Case("relaxed_sample", relaxed, {"temperature": 1.0, "generator": generator})
    normal = dist.Normal(x, x)
    yield Case("kl_divergence", dist.kl_divergence, {"p": normal, "q": normal})
    both = {"log_joint": x, "log_q": x}
    yield Case("elbo", estimators.elbo, {"log_weight": x})
    bound = estimators.importance_weighted_bound
    yield Case("importance_weighted_bound", bound, {"log_weight": x})
    yield Case("nvil", estimators.nvil, {**both, "baseline": 0.0, "scale": 1.0})
    yield Case("vimco", estimators.vimco, both)
    yield Case("wake_sleep", estimators.wake_sleep, {"log_joint": x, "dream_log_q": x})


def optim_cases() -> Iterator[Case]:
    p = {"parameters": [parameter()]}
    common = {"lr": 0.1, "weight_decay": 0.1}
    yield Case("SGD", optim.SGD, {**p, **common, "momentum": 0.1, "nesterov": True})
    adagrad = {"eps": 1e-8, "initial_accumulator_value": 0.1}
    yield Case("Adagrad", optim.Adagrad, {**p, **common, **adagrad})
    for make in (optim.Adam, optim.AdamW):
        arguments = {**p, **common, "betas": (0.9, 0.99), "eps": 1e-8}
        yield Case(make.__name__, make, arguments)
    rmsprop = {"alpha": 0.9, "eps": 1e-8, "momentum": 0.1, "centered": True}
    yield Case("RMSprop", optim.RMSprop, {**p, **common, **rmsprop})
    beta = lambda a, b: optim.Adam([parameter()], betas=(a, b))  # noqa: E731
    yield Case("Adam: betas", beta, {"a": 0.9, "b": 0.99})
    pair = lambda name, p: optim.SGD([(name, p)], 0.1)  # noqa: E731
    yield Case("SGD: pairs", pair, {"name": "a", "p": parameter()})
    group = lambda params, lr: optim.SGD([{"params": params, "lr": lr}], 0.1)  # noqa: E731
    yield Case("SGD: groups", group, {"params": [parameter()], "lr": 0.2})

    def learned() -> nn.Parameter:
        p = parameter()
        p.grad = np.ones((2, 3), np.float32)
        return p

    clip = lambda p, max_norm: optim.clip_grad_norm([p], max_norm)  # noqa: E731
    yield Case("clip_grad_norm", clip, {"p": learned(), "max_norm": 1.0})
    clip = {"parameters": [learned()], "max_norm": 1.0}
    yield Case("clip_grad_norm", optim.clip_grad_norm, clip)

    def step(grad: Any) -> None:
        p = parameter()
        p.grad = grad
        optim.SGD([p], 0.1).step()

    def clip_it(grad: Any) -> None:
        p = parameter()
        p.grad = grad
        optim.clip_grad_norm([p], 1.0)

    for use in (step, clip_it):
        yield Case("grad", use, {"grad": np.ones((2, 3), np.float32)})

    def set_option(**options: Any) -> None:
        p = learned()
        sgd = optim.SGD([p], 0.1, momentum=0.5)
        sgd.groups[0].update(options)
        sgd.step()

    yield Case("groups", set_option, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.0})
    sgd = optim.SGD([parameter()], 0.1, momentum=0.5)
    yield Case("Optimizer.load_state_dict", sgd.load_state_dict, {"state": sgd.state_dict()})
    more = lambda g: optim.SGD([parameter()], 0.1).add_param_group(g)  # noqa: E731
    yield Case("Optimizer.add_param_group", more, {"g": {"params": [parameter()], "lr": 0.1}})
    more = lambda **g: optim.SGD([parameter()], 0.1).add_param_group(g)  # noqa: E731
    yield Case("Optimizer.add_param_group", more, {"params": parameter(), "lr": 0.1})
    one = lambda lr: sgd.load_state_dict({**sgd.state_dict(), "groups.0.lr": lr})  # noqa: E731
    yield Case("Optimizer.load_state_dict", one, {"lr": np.float64(0.1)})
    o = {"optimizer": sgd}
    schedules: dict[str, dict[str, Any]] = {
        "ConstantLR": {},
        "StepLR": {"step_size": 2, "gamma": 0.1},
        "ExponentialLR": {"gamma": 0.1},
        "CosineLR": {"total_steps": 5, "final": 0.1},
        "WarmupLinear": {"warmup_steps": 2, "total_steps": 5},
    }
    for name, arguments in schedules.items():
        make = getattr(optim, name)
        yield Case(name, make, {**o, **arguments})
        schedule = make(sgd, **arguments)
        yield Case(f"{name}.load_state_dict", schedule.load_state_dict, {"state": {}})
        load = lambda s=schedule, **state: s.load_state_dict(state)  # noqa: E731
        yield Case(f"{name}.load_state_dict", load, {"count": 1, "base_lrs": [0.1]})
        yield Case(f"{name}.factor", schedule.factor, {"count": 1})
    plateau = {"factor": 0.5, "patience": 2, "greater": True, "threshold": 0.1, "min_lr": 0.01}
    yield Case("ReduceLROnPlateau", optim.ReduceLROnPlateau, {**o, **plateau})
    made = optim.ReduceLROnPlateau(sgd)
    yield Case("ReduceLROnPlateau.step", made.step, {"score": 1.0})
    yield Case("ReduceLROnPlateau.load_state_dict", made.load_state_dict, {"state": {}})
    load = lambda **state: made.load_state_dict(state)  # noqa: E731
    yield Case("ReduceLROnPlateau.load_state_dict", load, {"best": 1.0, "num_bad": 0})


def data_cases() -> Iterator[Case]:
    word = np.int32([0, 1, -1])
    spaces = {"vertex": {"word": word}, "edge": {"e": [1.0, 2.0]}, "graph": {"g": [1.0]}}
    yield Case("Dataset", data.Dataset, {"graphs": [GRAPH], **spaces})
    one = lambda values: data.Dataset([GRAPH], vertex={"word": values})  # noqa: E731
    yield Case("Dataset: values", one, {"values": word})
    samples = {"samples": [(GRAPH, {"word": word})], "edge": (), "graph": ()}
    yield Case("Dataset.from_samples", data.Dataset.from_samples, samples)
    pair = lambda g, inputs: data.Dataset.from_samples([(g, inputs)])  # noqa: E731
    yield Case("Dataset.from_samples", pair, {"g": GRAPH, "inputs": {"word": word}})
    corpus = data.Dataset([GRAPH] * 3, vertex={"word": np.tile(word, 3)})
    for name in ("subset", "inputs", "batch"):
        yield Case(f"Dataset.{name}", getattr(corpus, name), {"indices": [0, 2]})
    yield Case("Dataset.select", corpus.select, {})
    yield Case("Dataset.select", lambda name: corpus.select(name), {"name": "word"})
    yield Case("Dataset.flat", corpus.flat, {"name": "word"})
    yield Case("Dataset[]", corpus.__getitem__, {"index": 1})
    options = {"shuffle": True, "seed": 1, "drop_last": False, "size_window": 2, "cache": False}
    options |= {"targets": ["word"], "workers": 1}

    def load(**given: Any) -> None:
        loader = data.Loader(**given)
        next(iter(loader), None)

    yield Case("Loader", load, {"dataset": corpus, "batch_size": 2, **options})
    yield Case("Loader", load, {"dataset": corpus, "batch_size": 2, "sampler": [0, 2, 2]})
    weighted = {"weights": [1.0, 0.0, 2.0], "num_samples": 2, "replacement": False, "seed": 1}

    def draw(epoch: int = 0, **given: Any) -> None:
        data.WeightedSampler(**given).order(epoch)

    yield Case("WeightedSampler", draw, weighted)
    yield Case("WeightedSampler.order", data.WeightedSampler([1.0]).order, {"epoch": 1})
    yield Case("class_weights", data.class_weights, {"labels": np.array([0, 1, 1, -1])})
    loader = data.Loader(corpus, 2)
    yield Case("Loader.set_epoch", loader.set_epoch, {"epoch": 1, "start": 1})
    yield Case("Loader.batch_indices", loader.batch_indices, {"epoch": 1})
    yield Case("Loader.load_state_dict", loader.load_state_dict, {"state": loader.state_dict()})
    at = lambda **place: loader.load_state_dict({**loader.state_dict(), **place})  # noqa: E731
    yield Case("Loader.load_state_dict", at, {"epoch": 0, "batch": 0})
    yield Case("Vocabulary", data.Vocabulary, {"tokens": ["<unk>", "a"], "unknown": "<unk>"})
    tokens = {"tokens": ["a", "b"], "min_count": 1, "specials": ("<unk>",), "unknown": "<unk>"}
    yield Case("Vocabulary.from_tokens", data.Vocabulary.from_tokens, tokens)
    known = data.Vocabulary(["<unk>", "a"])
    yield Case("Vocabulary[]", known.__getitem__, {"token": "a"})
    yield Case("Vocabulary in", known.__contains__, {"token": "a"})
    yield Case("Vocabulary.encode", known.encode, {"tokens": ["a", None]})
    yield Case("Vocabulary.encode", lambda t: known.encode([t]), {"t": "a"})
    yield Case("Vocabulary.decode", known.decode, {"ids": [0, -1]})
    yield Case("Vocabulary.decode", lambda i: known.decode([i]), {"i": 0})
    yield Case("chain_graph", data.chain_graph, {"length": 3})
    yield Case("grid_graph", data.grid_graph, {"rows": 2, "columns": 3})
    pair = {"encoder": GRAPH, "decoder": cavs.InputGraph([[], [0]]), "slots": 1}
    yield Case("pair_graph", data.pair_graph, pair)
    yield Case("PairGraph", data.PairGraph, pair)
    images = np.zeros((2, 4), np.uint8)
    yield Case("image_dataset", data.image_dataset, {"images": images, "samples": 2})


def annotated_cases() -> Iterator[Case]:
    tree = data.parse_penn("(S (A a) (B b))")
    fields = {"graph": GRAPH, "tokens": ["a", None, "b"], "labels": [None] * 3}
    yield Case("AnnotatedTree", data.AnnotatedTree, {**fields, "relations": [None] * 3})
    labels = data.Vocabulary(["<unk>", "S"])
    yield Case("AnnotatedTree.labelled", tree.labelled, {"labels": labels})
    yield Case("sentence_tree", data.sentence_tree, {"words": ["a", "b"]})
    vocabularies = {"trees": [tree], "min_count": 1}
    yield Case("annotated_vocabularies", data.annotated_vocabularies, vocabularies)
    given = {"trees": [tree], "words": labels, "labels": labels, "relations": labels}
    yield Case("annotated_dataset", data.annotated_dataset, given)
    options = {"keep_null": False, "functions": True, "binarize": "head", "marker": "@"}
    text = {"text": "(S (A a) (B b))", **options, "source": ""}
    yield Case("parse_penn", data.parse_penn, text)
    yield Case("head_child", data.head_child, {"parent": "NP", "children": ["DT", "NN"]})
    path = {"path": "/nowhere/at all", "progress": False}
    yield Case("read_penn", data.read_penn, {**path, **options})
    for name in ("read_listops_tsv", "read_snli", "load_sick"):
        yield Case(name, getattr(data, name), path)
    if importlib.util.find_spec("conllu"):
        yield Case("read_conllu", data.read_conllu, path)
    directory = {"directory": "/nowhere/at all", "progress": False}
    yield Case("load_snli", data.load_snli, directory)
    yield Case("load_stanford", data.load_stanford, {**directory, "trees": "dependency"})
    vectors = {"vocabulary": WORDS, "size": 3, "scale": 0.1, "seed": 1}
    yield Case("load_vectors", data.load_vectors, {**path, **vectors})
    rows = np.zeros((len(WORDS), 2), np.float32)
    saved = {"path": "/nowhere/at all", "vocabulary": WORDS, "values": rows}
    yield Case("save_vectors", data.save_vectors, saved)


def pair_cases() -> Iterator[Case]:
    tree = data.sentence_tree(["a", "b"])
    pair = data.SentencePair(tree, tree, "yes", 1.0)
    yield Case("SentencePair", data.SentencePair, {"left": tree, "right": tree})
    yield Case("pair_vocabulary", data.pair_vocabulary, {"pairs": [pair], "min_count": 1})
    given = {"pairs": [pair], "words": WORDS, "labels": ["yes"]}
    yield Case("pair_dataset", data.pair_dataset, given)
    binary = {"text": "( a b )", "source": "", "line": 1}
    yield Case("parse_binary_tree", data.parse_binary_tree, binary)
    side = data.Dataset([GRAPH] * 2, vertex={"word": WORD})
    sides = {"left": side, "right": side, "pair": {"score": [1.0, 2.0]}}
    yield Case("PairDataset", data.PairDataset, sides)
    pairs = data.PairDataset(side, side)
    for name in ("subset", "inputs", "batch"):
        yield Case(f"PairDataset.{name}", getattr(pairs, name), {"indices": [0, 1]})
    yield Case("PairDataset.select", lambda name: pairs.select(name), {"name": "word"})
    yield Case("PairDataset.flat", pairs.flat, {"name": "word"})
    yield Case("PairDataset[]", pairs.__getitem__, {"index": 1})
    read = {"graphs": BATCH, "x": EXTRA, "kind": "root"}
    yield Case("readout_pairs", cavs.readout_pairs, read)
    sample = lambda row: (GRAPH, {"word": WORD[:3]})  # noqa: E731
    rows = {"rows": [{"a": 1}], "edge": (), "graph": (), "progress": False}
    yield Case("from_rows", lambda **g: data.from_rows(function=sample, **g), rows)
    row = lambda row: data.from_rows([{"a": 1}], lambda _: row)  # noqa: E731
    yield Case("from_rows", row, {"row": (GRAPH, {"word": WORD[:3]})})


def corpus_cases() -> Iterator[Case]:
    for name in ("read_trees", "read_listops", "read_parents", "read_sentences", "read_tagged"):
        yield Case(name, getattr(data, name), {"path": "/nowhere/at all"})
    for name in ("load_sst", "load_ptb", "load_lattices"):
        yield Case(name, getattr(data, name), {"directory": "/nowhere/at all"})
    yield Case("read_lattices", data.read_lattices, {"path": "/nowhere/at all"})
    mnist = {"path": "/nowhere/at all", "height": 28, "width": 28}
    yield Case("load_binarized_mnist", data.load_binarized_mnist, mnist)
    tree = {"text": "(1 a)", "num_classes": 5, "source": "", "line": 1}
    tree |= {"allow_unlabelled": False, "allow_holes": True}
    yield Case("parse_tree", data.parse_tree, tree)
    many = {"lines": ["(1 a)"], "num_classes": 5, "allow_unlabelled": True, "source": ""}
    yield Case("parse_trees", lambda **g: list(data.parse_trees(**g)), many)
    trees = lambda line: list(data.parse_trees([line]))  # noqa: E731
    yield Case("parse_trees", trees, {"line": "(1 a)"})
    yield Case("parse_listops", data.parse_listops, {"text": "[MAX 1 2 ]", "source": "", "line": 1})
    lines = lambda **g: list(data.parse_listops_lines(**g))  # noqa: E731
    yield Case("parse_listops_lines", lines, {"lines": ["[MAX 1 ]"], "source": ""})
    parse = lambda text, **where: data.parse_parents(text, **where)  # noqa: E731
    yield Case("parse_parents", parse, {"text": "2 0", "source": "", "line": 1})
    for name in ("format_tree", "format_listops"):
        yield Case(name, getattr(data, name), {"tree": data.parse_listops("[MAX 1 2 ]")})
    yield Case("tree_vocabulary", data.tree_vocabulary, {"trees": TREES})
    yield Case(
        "tree_dataset", data.tree_dataset, {"trees": TREES, "vocabulary": WORDS, "labels": "all"}
    )
    productions = data.production_vocabulary(TREES)
    yield Case("production_vocabulary", data.production_vocabulary, {"trees": TREES})
    made = {"trees": TREES, "vocabulary": productions}
    yield Case("production_dataset", data.production_dataset, made)
    yield Case("arities", data.arities, {"vocabulary": productions})
    yield Case("transition_graph", data.transition_graph, {"tree": TREES[0]})
    yield Case("transition_dataset", data.transition_dataset, {"trees": TREES, "vocabulary": WORDS})
    yield Case("brackets", data.brackets, {"tree": TREES[0]})
    yield Case("bracket_f1", data.bracket_f1, {"found": TREES, "gold": TREES})
    for name in ("left_branching", "right_branching"):
        yield Case(name, getattr(data, name), {"sentence": ["a", "b"]})
    text = {"sentences": SENTENCES, "min_count": 1}
    yield Case("language_model_vocabulary", data.language_model_vocabulary, text)
    words = data.language_model_vocabulary(SENTENCES)
    text = {"sentences": SENTENCES, "vocabulary": words}
    yield Case("language_model_dataset", data.language_model_dataset, text)
    running = {**text, "streams": 1, "length": 2}
    yield Case("running_text_dataset", data.running_text_dataset, running)
    tagged = [data.TaggedSentence(("a",), ("X",))]
    tags = data.tag_vocabulary(tagged)
    yield Case("tag_vocabulary", data.tag_vocabulary, {"sentences": tagged})
    arguments = {"sentences": tagged, "words": words, "tags": tags}
    yield Case("tagging_dataset", data.tagging_dataset, arguments)
    depth = {"max_depth": 3, "max_arguments": 3, "max_length": 20}
    random = {"seed": 0, "stream": 0, "operator_probability": 0.2, **depth}
    yield Case("ListOpsGenerator", data.ListOpsGenerator, random)
    generator = data.ListOpsGenerator(0)
    drawn = {"count": 2, "generator": generator, "seen": set()}
    yield Case("generate_listops", data.generate_listops, drawn)
    counts = {"num_train": 2, "num_dev": 1, "num_test": 1, "seed": 0, **depth}
    yield Case("listops_corpus", data.listops_corpus, counts)
    builder = data.TreeBuilder()
    yield Case("TreeBuilder.add", builder.add, {"label": 0, "token": "a", "children": ()})


def model_class_cases() -> Iterator[Case]:
    sizes = {"vocab_size": 5, "embedding_size": 4, "hidden_size": 4, "num_classes": 2}
    drops = {"dropout": 0.1, "embedding_dropout": 0.1, "embedding_dropout_by": "id"}
    common = {**sizes, **drops}
    arguments: dict[Any, dict[str, Any]] = {
        models.ChildSumTreeLSTM: common,
        models.NaryTreeLSTM: {**common, "arity": 2},
        models.ChildSumTreeGRU: common,
        models.TreeFC: common,
        models.LSTM: common,
        models.GRU: common,
        models.LatticeLSTM: common,
        models.MVRNN: {"vocab_size": 5, "hidden_size": 4, "num_classes": 2, "dropout": 0.1},
        models.BiLSTMTagger: common,
        models.DAGRNN: {"input_size": 3, "hidden_size": 4, "num_classes": 2, "dropout": 0.1},
        models.LSTMLanguageModel: {"vocab_size": 5, "hidden_size": 4, "num_layers": 2, **drops},
        models.SentenceVAE: {"vocab_size": 5},
        models.ShiftReduceParser: {"vocab_size": 5, "embedding_size": 4, "hidden_size": 4, **drops},
        models.VAE: {"image_size": 4, "hidden_size": 4, "latent_size": 2, "dropout": 0.1},
        models.SigmoidBeliefNetwork: {"image_size": 4, "hidden_size": 4},
        models.TreeVAE: {"num_productions": 3, "num_slots": 2},
    }
    for make, given in arguments.items():
        yield Case(make.__name__, make, given)


UNARY = """
    abs erfinv exp log log_softmax one_hot_max reciprocal relu rsqrt sigmoid sign softmax
    softplus sqrt square stop_gradient tanh
"""
BINARY = """
    binary_cross_entropy_with_logits equal greater greater_equal less less_equal maximum
    minimum pow squared_error
"""
OF_EDGES = """
    segment_logsumexp segment_max segment_mean segment_softmax segment_sum bernoulli
    categorical uniform_like
"""


def ops_cases(x: Any, square: Any, ids: Any, own: str) -> Iterator[Case]:
    """The operations on values of one world: x (4,), or (rows, 4), square (4, 4), ids."""
    for name in UNARY.split():
        yield Case(f"ops.{name}", getattr(ops, name), {"x": x})
    for name in BINARY.split():
        yield Case(f"ops.{name}", lambda a, b, f=name: getattr(ops, f)(a, b), {"a": x, "b": x})
    for name in ("sum", "mean", "max", "min", "logsumexp"):
        arguments = {"x": x, "axis": -1, "keepdims": False}
        yield Case(f"ops.{name}", getattr(ops, name), arguments)
    yield Case("ops.where", ops.where, {"condition": x, "a": x, "b": x})
    yield Case("ops.clip", ops.clip, {"x": x, "low": -1.0, "high": 1.0})
    yield Case("ops.reshape", ops.reshape, {"x": x, "shape": (-1, 2)})
    yield Case("ops.split", ops.split, {"x": x, "parts": 2})
    yield Case("ops.split", ops.split, {"x": x, "parts": [1, 3]})
    yield Case("ops.split", lambda part: ops.split(x, [1, part]), {"part": 3})
    yield Case("ops.concat", ops.concat, {"values": [x, x]})
    yield Case("ops.concat", lambda a: ops.concat([x, a]), {"a": x})
    yield Case("ops.slice_last", ops.slice_last, {"x": x, "start": 1, "stop": 3})
    yield Case("ops.matmul", ops.matmul, {"a": x, "b": square})
    yield Case("ops.linear", ops.linear, {"x": x, "weight": square, "bias": x})
    norm = {"x": x, "weight": x, "bias": x, "eps": 1e-5}
    yield Case("ops.layer_norm", ops.layer_norm, norm)
    yield Case("ops.cross_entropy", ops.cross_entropy, {"logits": x, "label": ids})
    yield Case("ops.embedding", ops.embedding, {"weight": square, "ids": ids})
    for name in OF_EDGES.split():
        yield Case(f"ops.{name}", lambda x, f=name: getattr(ops, f)(x), {"x": x})
    yield Case("ops.dropout", ops.dropout, {"x": x, "p": 0.5, "by": "vertex"})
    yield Case("ops.normal", ops.normal, {"mean": x, "std": x})
    gumbel = {"logits": x, "temperature": 1.0, "hard": True}
    yield Case("ops.gumbel_softmax", ops.gumbel_softmax, gumbel)
    if own == "symbol":
        yield Case("symbol.softmax", x.softmax, {})
        for name in ("sum", "mean", "max", "min", "logsumexp"):
            yield Case(f"symbol.{name}", getattr(x, name), {"axis": -1, "keepdims": False})
        yield Case("symbol[]", lambda key: x[key], {"key": slice(1, 2)})
        yield Case("symbol[]", lambda a, b: x[a:b], {"a": 1, "b": 2})
        for sign in ("add", "sub", "mul", "truediv"):
            yield Case(f"symbol.{sign}", getattr(x, f"__{sign}__"), {"other": 2})
        yield Case("symbol.pow", x.__pow__, {"exponent": 2})
        yield Case("symbol.pow", x.__pow__, {"exponent": 1.5})
        yield Case("symbol.matmul", x.__matmul__, {"other": square})


def vertex_cases(v: cavs.Vertex, h: Any) -> Iterator[Case]:
    """The calls of the vertex that is being traced."""
    for name in ("pull", "pull_edge", "pull_graph"):
        arguments = {"name": f"fresh_{name}", "shape": (2, 3), "dtype": "float32"}
        yield Case(f"Vertex.{name}", getattr(v, name), arguments)
    yield Case("Vertex.uniform", v.uniform, {"shape": (2, 3)})
    yield Case("Vertex.normal", v.normal, {"shape": 3})
    yield Case("Vertex.gather", lambda slot, size: v.gather(slot, h=size), {"slot": 0, "size": 4})
    yield Case("Vertex.push", lambda y: v.push(fresh=y), {"y": h})
    yield Case("Vertex.scatter", lambda y: v.scatter(fresh=y), {"y": h})
