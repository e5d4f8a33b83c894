"""Modules: whose parameters have which path."""

from __future__ import annotations

from typing import Any

import pytest

import cavs
from cavs import nn, ops
from cavs.core.vertex import Module
from cavs.errors import TraceError


def parameter() -> cavs.Parameter:
    return nn.Linear(3, 3, bias=False).weight


def layer(**attributes: Any) -> Module:
    module = Module()
    vars(module).update(attributes)
    return module


class Function(cavs.VertexFunction):
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        for p in self.parameters():
            x = x + ops.sum(p)
        v.push(y=x)


COLLISIONS: dict[str, tuple[dict[str, Any], str]] = {
    "dot": (
        {"d": {"a": {"b": parameter()}, "a.b": parameter()}},
        r"path 'd\.a\.b', got two, Function\.d\['a'\]\['b'\] and Function\.d\['a\.b'\]",
    ),
    "digits": ({"d": {1: parameter(), "1": parameter()}}, r"Function\.d\[1\] and .*\['1'\]"),
    "list": ({"d": {"l": [parameter()], "l.0": parameter()}}, r"\['l'\]\[0\] and .*\['l\.0'\]"),
    "tuple": ({"d": {"l.0": parameter(), "l": (parameter(),)}}, r"\['l\.0'\] and .*\['l'\]\[0\]"),
    "module": (
        {"m": layer(w=parameter()), "d": {}, "m.w": parameter()},
        r"'m\.w', got two, Function\.m\.w and Function\.__dict__\['m\.w'\]",
    ),
    "in a module": (
        {"m": layer(d={"a.b": parameter(), "a": layer(b=parameter())})},
        r"'m\.d\.a\.b', got two, Function\.m\.d\['a\.b'\] and Function\.m\.d\['a'\]\.b",
    ),
}


@pytest.mark.parametrize("kind", COLLISIONS)
def test_parameters_with_one_path_are_refused(kind: str) -> None:
    attributes, match = COLLISIONS[kind]
    for use in (cavs.compile, Function.state_dict, Function.parameters):
        with pytest.raises(TraceError, match=match):
            use(Function(**attributes))


def test_a_shared_parameter_has_the_path_of_its_first_place() -> None:
    shared, other = parameter(), parameter()
    function = Function(d={"a": {"b": shared}, "a.b": shared, "c": [other, shared]})
    assert [name for name, _ in function.named_parameters("f.")] == ["f.d.a.b", "f.d.c.0"]
    state = cavs.compile(function).state_dict()
    assert state["d.c.0"] is other.data
