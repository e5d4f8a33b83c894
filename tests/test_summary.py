"""Summaries of models and programs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from model_runs import compiled, draw_inputs

import cavs
from cavs import nn, ops
from cavs.errors import CavsRuntimeError, InputError
from cavs.summary import in_bytes, in_flops

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
X = np.ones((5, 3), np.float32)


class Products(cavs.VertexFunction):
    """One product of known cost on each vertex."""

    def __init__(self) -> None:
        self.layer = nn.Linear(3, 4, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", 3)), own=ops.square(v.pull("z")))


def test_a_summary_shows_modules_parameters_and_shapes() -> None:
    model = compiled("ChildSumTreeLSTM", "float32")
    text = model.summary()
    assert str(model) == text
    assert f"{model}" == text
    total = sum(p.data.size for p in model.parameters())
    assert f"ChildSumTreeLSTM: {total:,} parameters, " in text
    for name, parameter in model.named_parameters():
        path, _, own = name.rpartition(".")
        assert path in text
        assert re.search(
            rf"{own} +{re.escape(str(parameter.shape))} +{parameter.data.size:,}", text
        )
    assert "inputs:  word int32 (vertices), label int32 (vertices)" in text
    assert re.search(r"states:  h \(vertices, \d+\), c \(vertices, \d+\)", text)
    assert re.search(r"outputs: .*loss \(vertices\)", text)
    assert "float32, training mode" in text
    frozen = cavs.compile(Products(), dtype="float64").eval()
    frozen.parameters()[0].requires_grad = False
    assert "12 parameters (12 of them frozen), 96 bytes, float64, evaluation mode" in str(frozen)
    assert "12 frozen" in str(frozen)


def test_a_model_prints_without_a_call() -> None:
    model = cavs.compile(Products())
    assert repr(model) == (
        "Model(\n"
        "  (function): Products(\n"
        "    (layer): Linear(3, 4, bias=False)\n"
        "  )\n"
        "  dtype=float32, training=True, outputs=['y', 'own']\n"
        ")"
    )
    model.function.layer = nn.Linear(3, 4)  # no longer as it was compiled
    assert "bias=True" in repr(model)
    assert "bias=True" in str(model)


def test_a_batch_adds_flops_and_memory() -> None:
    model = cavs.compile(Products())
    before = model.random_state(), [p.grad for p in model.parameters()]
    inputs: dict[str, Any] = {"x": X, "z": np.ones(5, np.float32)}
    text = model.summary(GRAPHS, **inputs)
    assert "a call over 2 graphs, 5 vertices and 3 edges:" in text
    # 5 products of 4 x 3, 2 operations each, and 5 squares; backward sums the outer products.
    assert "inference: 125 FLOPs, " in text
    assert "training: 125 FLOPs forward and 120 FLOPs backward, " in text
    assert in_bytes(model.memory(GRAPHS, gradients=False)) in text
    assert text.endswith(in_bytes(model.memory(GRAPHS)))
    assert (model.random_state(), [p.grad for p in model.parameters()]) == before
    part = model.summary(GRAPHS, outputs=["y"], x=X)
    assert "inference: 120 FLOPs" in part
    assert "inputs:  x float (vertices, 3)\n" in part
    model.parameters()[0].requires_grad = False
    assert "training:" not in model.summary(GRAPHS, **inputs)
    assert "training:" not in model.summary(cavs.InputGraph([]), x=X[:0], z=X[:0, 0])


def test_a_summary_checks_what_it_is_given() -> None:
    model = cavs.compile(Products())
    with pytest.raises(InputError, match="'z', got none"):
        model.summary(GRAPHS, x=X)
    with pytest.raises(InputError, match=r"got 'w'"):
        model.summary(w=X)
    with pytest.raises(InputError, match="expected outputs among"):
        model.summary(outputs=["x"])
    reference = compiled("ChildSumTreeLSTM", "float32", executor="reference")
    assert "ChildSumTreeLSTM" in str(reference)
    with pytest.raises(CavsRuntimeError, match=r"^\[summary\] expected the native executor"):
        reference.summary(GRAPHS, **draw_inputs(reference, GRAPHS))


def test_programs_have_summaries() -> None:
    program = cavs.compile(cavs.VertexProgram({"up": Products(), "down": Products()}))
    text = program.summary()
    assert str(program) == text
    assert "VertexProgram: 24 parameters" in text
    assert "up.layer" in text
    assert "\ndown: Products\n  inputs:  x float (vertices, 3), z float (vertices)" in text
    assert repr(program).startswith("Program(\n  (up): Products(\n    (layer): Linear(3, 4")
    inputs = {"x": X, "z": np.ones(5, np.float32)}
    assert program.summary({"down": (GRAPHS, inputs)}).count("125 FLOPs") == 2
    with pytest.raises(InputError, match=r"expected one of \['up', 'down'\]"):
        program.summary({"left": (GRAPHS, inputs)})


def test_numbers_in_words() -> None:
    assert in_flops(999) == "999 FLOPs"
    assert in_flops(1_250_000) == "1.2 MFLOPs"
    assert in_bytes(0) == "0 bytes"
    assert in_bytes(1536) == "1.5 KiB"
    assert in_bytes(2**55) == "32,768.0 TiB"
