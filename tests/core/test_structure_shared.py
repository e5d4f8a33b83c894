"""Attributes that are replaced in one of several functions that belong together or share parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from replaced_attributes import GRAPH, IDS, Holder, Net

import cavs
from cavs import nn
from cavs.errors import CavsRuntimeError
from cavs.optim import SGD
from cavs.tensor import Parameter


def test_a_parameter_that_moved_to_another_function() -> None:
    one, two = Holder(), Holder()
    two.f.embedding, one.f.embedding = one.f.embedding, nn.Embedding(5, 4)
    models = [cavs.compile(two.f), cavs.compile(one.f)]
    SGD([p for model in models for p in model.parameters()], lr=0.1).step()


def program() -> tuple[Any, cavs.Program, SGD]:
    whole: Any = cavs.VertexProgram({"one": Net(), "two": Net()})
    whole.joint = Parameter(np.ones(2, np.float32))
    model = cavs.compile(whole)
    return whole, model, SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("path", "replace"),
    [
        ("two", lambda p: setattr(p, "two", Net())),
        ("one.embedding", lambda p: setattr(p.one, "embedding", nn.Embedding(5, 4))),
        ("two.layers[1]", lambda p: p.two.layers.__setitem__(1, nn.Linear(4, 4))),
        ("one.drop.p", lambda p: setattr(p.one.drop, "p", 0.1)),
        ("joint", lambda p: setattr(p, "joint", Parameter(np.ones(2, np.float32)))),
    ],
)
def test_programs(path: str, replace: Callable[[Any], Any]) -> None:
    whole, model, optimizer = program()
    model["two"](GRAPH, ids=IDS)["y"].sum().backward()
    assert dict(model["two"].named_parameters()) == dict(whole.two.named_parameters())
    assert dict(model.named_parameters()) == dict(whole.named_parameters())
    whole.joint.grad = np.ones(2, np.float32)
    model["two"].zero_grad()
    assert whole.joint.grad is not None
    optimizer.step()
    replace(whole)
    for then in (
        lambda: model["one"](GRAPH, ids=IDS),
        lambda: model["two"](GRAPH, ids=IDS),
        model.parameters,
        model.state_dict,
        model["one"].parameters,
        optimizer.step,
    ):
        with pytest.raises(CavsRuntimeError) as error:
            then()
        assert repr(path) in str(error.value)
    if path == "two":  # hides the function, which is no way to replace it
        del whole.two
        model["two"](GRAPH, ids=IDS)
    again = cavs.compile(whole)
    again["one"](GRAPH, ids=IDS)
    SGD(again.parameters(), lr=0.1).step()


def test_a_function_of_a_program_compiled_alone() -> None:
    whole, model, optimizer = program()
    whole.one.drop.p = 0.1
    alone = cavs.compile(whole.one)
    alone(GRAPH, ids=IDS)
    with pytest.raises(CavsRuntimeError, match=r"'one\.drop\.p'"):
        optimizer.step()
    with pytest.raises(CavsRuntimeError, match=r"'one\.drop\.p'"):
        model["two"](GRAPH, ids=IDS)


def test_a_layer_of_another_function_that_was_taken_apart() -> None:
    """Its optimizer goes on where all that it holds is of a function that is as it was."""
    first = Holder()

    class Tuned(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = first.f.heads["a"]

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.layer(v.pull("x", 4)))

    tuned = Tuned()
    model = cavs.compile(tuned)
    optimizer = SGD(model.parameters(), lr=0.1)
    first.f.embedding = None
    model(GRAPH, x=np.ones((2, 4), np.float32))["y"].sum().backward()
    optimizer.step()
    mixed = SGD([*model.parameters(), first.f.gain], lr=0.1)
    with pytest.raises(CavsRuntimeError, match="'embedding'"):
        mixed.step()
    tuned.layer = nn.Linear(4, 2)
    with pytest.raises(CavsRuntimeError, match="compile again"):
        optimizer.step()
