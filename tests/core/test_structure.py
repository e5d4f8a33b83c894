"""Attributes that are replaced after a function was compiled: an error at whatever comes next."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from replaced_attributes import GRAPH, IDS, Holder, Net, Scale, outside

import cavs
from cavs import nn, ops
from cavs.errors import CavsRuntimeError
from cavs.optim import SGD
from cavs.tensor import Parameter

REPLACED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "layer": ("embedding", lambda f: setattr(f, "embedding", nn.Embedding(5, 4))),
    "in a list": ("layers[0]", lambda f: f.layers.__setitem__(0, nn.Linear(4, 4))),
    "list": ("layers[0]", lambda f: setattr(f, "layers", [nn.Linear(4, 4), f.layers[1]])),
    "appended": ("layers[2]", lambda f: f.layers.append(nn.Linear(4, 4))),
    "removed": ("layers[1]", lambda f: f.layers.pop()),
    "swapped": ("layers[0]", lambda f: f.layers.reverse()),
    "in a dictionary": ("heads['a']", lambda f: f.heads.__setitem__("a", nn.Linear(4, 2))),
    "in a tuple": ("heads['b'][0]", lambda f: f.heads.update(b=(nn.Linear(4, 2), f.heads["b"][1]))),
    "deep": ("heads['b'][1][0]", lambda f: f.heads["b"][1].__setitem__(0, nn.Linear(4, 2))),
    "nested": ("block.inner", lambda f: setattr(f.block, "inner", nn.Linear(4, 4))),
    "tied": ("tied.weight", lambda f: setattr(f.tied, "weight", f.block.inner.weight)),
    "parameter": ("gain", lambda f: setattr(f, "gain", Parameter(np.ones(4, np.float32)))),
    "bias": ("block.inner.bias", lambda f: setattr(f.block.inner, "bias", None)),
    "deleted": ("gain", lambda f: delattr(f, "gain")),
    "probability": ("drop.p", lambda f: setattr(f.drop, "p", 0)),
    "dropout": ("drop", lambda f: setattr(f, "drop", nn.Dropout(0.5))),
    "equal module": ("scale", lambda f: setattr(f, "scale", Scale(2.0))),
    "number": ("hidden_size", lambda f: setattr(f, "hidden_size", 3)),
    "string": ("kind", lambda f: setattr(f, "kind", "relu")),
    "flag": ("gated", lambda f: setattr(f, "gated", True)),
    "function": ("activation", lambda f: setattr(f, "activation", ops.relu)),
    "numbers": ("sizes[1][0]", lambda f: f.sizes[1].__setitem__(0, 7)),
    "None": ("extra", lambda f: setattr(f, "extra", 1)),
    "default": ("temperature", lambda f: setattr(f, "temperature", 2.0)),
    "of the class": ("offset", lambda f: setattr(f, "offset", 2.0)),
    "method": ("shift", lambda f: setattr(f, "shift", lambda x: x)),
    "through vars": ("hidden_size", lambda f: vars(f).update(hidden_size=3)),
    "unread layer": ("unread", lambda f: setattr(f, "unread", nn.Linear(2, 2))),
}
NEXT: dict[str, Callable[[Holder], Any]] = {
    "call": lambda h: h.call(),
    "parameters": lambda h: h.model.parameters(),
    "named_parameters": lambda h: h.model.named_parameters(),
    "state_dict": lambda h: h.model.state_dict(),
    "load_state_dict": lambda h: h.model.load_state_dict({}),
    "zero_grad": lambda h: h.model.zero_grad(),
    "step": lambda h: h.optimizer.step(),
    "explain": lambda h: h.model.explain(GRAPH, ids=IDS),
    "explain without a batch": lambda h: h.model.explain(),
    "program": lambda h: h.model.program,
    "a step": lambda h: h.model.step(GRAPH, h.optimizer, loss="y", ids=IDS),
    "memory": lambda h: h.model.memory(GRAPH),
}


@pytest.mark.parametrize("case", REPLACED)
def test_replaced_after_compile(case: str) -> None:
    path, replace = REPLACED[case]
    holder = Holder()
    holder.call()
    replace(holder.f)
    for name, then in NEXT.items():
        with pytest.raises(CavsRuntimeError) as error:
            then(holder)
        assert repr(path) in str(error.value), name
        assert "[compile]" in str(error.value)
        assert "compile again" in str(error.value)


@pytest.mark.parametrize("case", ["layer", "in a list", "tied", "probability", "function"])
def test_compiled_again(case: str) -> None:
    holder = Holder()
    REPLACED[case][1](holder.f)
    again = cavs.compile(holder.f)
    assert [id(p) for p in again.parameters()] == [id(p) for p in holder.f.parameters()]
    out = again(GRAPH, ids=IDS)["y"]
    SGD(again.parameters(), lr=0.1).step()
    with pytest.raises(CavsRuntimeError, match="compile again"):
        holder.call()
    out.sum().backward()
    assert all(p.grad is not None for n, p in again.named_parameters() if "unread" not in n)


def test_an_optimizer_of_before_a_new_compile() -> None:
    """It would train a parameter that is no longer there; one of what is still there may go on."""
    holder = Holder()
    some = SGD([holder.f.gain], lr=0.1)
    holder.f.embedding = nn.Embedding(5, 4)
    with pytest.raises(CavsRuntimeError, match=r"\[compile\] expected attribute 'embedding'"):
        some.step()
    holder.model = cavs.compile(holder.f)
    some.step()
    with pytest.raises(CavsRuntimeError, match=r"\[optim\] .*'embedding.weight'.*optimizer"):
        holder.optimizer.step()
    SGD(holder.model.parameters(), lr=0.1).step()
    holder.f.embedding = nn.Embedding(5, 4)
    holder.f.gain = None
    with pytest.raises(CavsRuntimeError, match=r"\[compile\]"):
        some.step()


ALLOWED: dict[str, Callable[[Holder], Any]] = {
    "the same": lambda h: setattr(h.f, "embedding", h.f.embedding),
    "the same in a list": lambda h: h.f.layers.__setitem__(0, h.f.layers[0]),
    "a list of the same": lambda h: setattr(h.f, "layers", list(h.f.layers)),
    "an equal number": lambda h: setattr(h.f.drop, "p", float("0.5")),
    "an equal string": lambda h: setattr(h.f, "kind", "".join(["ta", "nh"])),
    "what forward does not read": lambda h: setattr(h.f, "epoch", h.f.epoch + 1),
    "a list that forward does not read": lambda h: h.f.history.append(1.5),
    "new": lambda h: setattr(h.f, "note", "best"),
    "a counter of forward": lambda h: setattr(h.f, "calls", 0),
    "a list of forward": lambda h: h.f.seen.clear(),
    "a cache of forward": lambda h: vars(h.f).pop("last", None),
    "values": lambda h: setattr(h.f.gain, "data", np.zeros(4, np.float32)),
    "values in place": lambda h: h.f.gain.data.fill(2),
    "frozen": lambda h: setattr(h.f.gain, "requires_grad", False),
    "loaded": lambda h: h.f.load_state_dict(h.f.state_dict()),
    "there and back": lambda h: (setattr(h.f.drop, "p", 0), setattr(h.f.drop, "p", 0.5)),
    "compiled again": lambda h: setattr(h, "other", cavs.compile(h.f, policy="serial")),
    "copied": lambda h: copy.deepcopy(h.f),
    "gradients": lambda h: h.call()["y"].sum().backward(),
    "mode": lambda h: (h.model.eval(), h.call(), h.model.train()),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_no_replacement(case: str) -> None:
    holder = Holder()
    for _ in range(2):
        ALLOWED[case](holder)
        holder.call()["y"].sum().backward()
        holder.optimizer.step()
        assert holder.model.parameters() == holder.f.parameters()
        assert holder.model.state_dict().keys() == holder.f.state_dict().keys()


@pytest.mark.parametrize(
    ("path", "add"),
    [
        ("added", lambda f: setattr(f, "added", nn.Linear(2, 2))),
        ("history[0]", lambda f: f.history.append(nn.Linear(2, 2))),
        ("epoch", lambda f: setattr(f, "epoch", Parameter(np.ones(1, np.float32)))),
    ],
)
def test_parameters_that_are_new(path: str, add: Callable[[Any], Any]) -> None:
    """They are in no optimizer; calls do not need them."""
    holder = Holder()
    add(holder.f)
    holder.call()
    for then in ("parameters", "state_dict", "load_state_dict"):
        with pytest.raises(CavsRuntimeError) as error:
            NEXT[then](holder)
        assert repr(path) in str(error.value)


def test_a_module_that_is_no_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder()
    monkeypatch.setattr(outside, "p", 0.1)
    with pytest.raises(CavsRuntimeError, match=r"'Dropout\(.*\)\.p'"):
        holder.call()


def test_an_attribute_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder()
    monkeypatch.setattr(Net, "offset", 3.0)
    with pytest.raises(CavsRuntimeError, match="'offset'"):
        holder.call()


def test_arrays_as_attributes() -> None:
    class F(cavs.VertexFunction):
        def __init__(self) -> None:
            self.table = np.arange(3.0)

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x") * float(self.table.sum()))

    f = F()
    model = cavs.compile(f)
    f.table = np.arange(3.0)
    model(GRAPH, x=np.ones(2, np.float32))
    f.table = np.arange(4.0)
    with pytest.raises(CavsRuntimeError, match="'table'"):
        model(GRAPH, x=np.ones(2, np.float32))


def test_long_lists_of_values_cost_nothing() -> None:
    class F(cavs.VertexFunction):
        def __init__(self) -> None:
            self.words = [str(n) for n in range(5000)]
            self.table = nn.Embedding(len(self.words), 2)

        def forward(self, v: cavs.Vertex) -> None:
            assert len(self.words) == 5000
            v.push(y=self.table(v.pull("ids", dtype="int32")))

    f = F()
    model = cavs.compile(f)
    assert sum(map(len, model._structure._copies)) < 10
    f.words = f.words[1:]
    with pytest.raises(CavsRuntimeError, match="'words'"):
        model(GRAPH, ids=IDS)


def test_copies_are_functions_of_their_own() -> None:
    holder = Holder()
    others = [copy.deepcopy(holder.f)]
    simple = nn.Linear(2, 3)
    others.append(copy.copy(holder.f))
    for other in others:
        other.drop = nn.Dropout(0.1)
        other.epoch = 3
    holder.call()
    other = cavs.compile(others[0])
    other(GRAPH, ids=IDS)
    holder.f.drop.p = 0.2
    other(GRAPH, ids=IDS)
    assert not {id(p) for p in other.parameters()} & {id(p) for p in holder.f.parameters()}
    again = pickle.loads(pickle.dumps(simple))
    np.testing.assert_array_equal(again.weight.data, simple.weight.data)
