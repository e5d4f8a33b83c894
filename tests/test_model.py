"""Compiled models as users call them: parameters, modes and random states."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import vertex_functions
from model_runs import compiled, draw_inputs, run

import cavs
from cavs import ops
from cavs.errors import InputError
from cavs.models import ChildSumTreeLSTM

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])


def test_a_refused_call_changes_nothing() -> None:
    model = compiled("EdgeInputs", "float32")
    inputs = draw_inputs(model, GRAPHS)
    before = model.random_state()
    with pytest.raises(InputError):
        model(GRAPHS, **{**inputs, "topic": [0, 4]})
    assert model.random_state() == before


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None, 1025, 2**70])
def test_wrong_numbers_of_threads_are_refused(count: Any) -> None:
    before = cavs.get_num_threads()
    with pytest.raises(InputError, match=r"\[threads\] expected a number of threads in 1\.\.1024"):
        cavs.set_num_threads(count)
    assert cavs.get_num_threads() == before


def test_random_state_is_checked() -> None:
    model = compiled("ChildSumTreeLSTM", "float32")
    for state in ({"seed": 1}, {"seed": 1, "step": -1}, {"seed": "a", "step": 0}):
        with pytest.raises(InputError, match=r"\[random\]"):
            model.set_random_state(state)  # type: ignore[arg-type]


def test_parameters_are_of_the_compiled_precision_and_named_by_path() -> None:
    function = vertex_functions.make_function("ChildSumTreeLSTM", "float32")
    model = cavs.compile(function, dtype="float64")
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    assert model.dtype == np.float64
    assert list(model.state_dict())[:3] == ["embedding.weight", "w_iou.weight", "w_iou.bias"]
    state = {k: a + 1.0 for k, a in model.state_dict().items()}
    model.load_state_dict(state)
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, state[name])
    assert model.parameters() == function.parameters()


def test_training_and_evaluation_modes() -> None:
    class Drop(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=ops.dropout(v.pull("x", 8), 0.5))

    model = cavs.compile(Drop())
    x = np.ones((5, 8), np.float32)
    assert model.training
    assert (model(GRAPHS, x=x)["y"].data != 1).all()
    assert model.eval() is model
    assert (model(GRAPHS, x=x)["y"].data == 1).all()
    assert model.train().training


def test_parameters_are_frozen_and_thawed_between_calls() -> None:
    function = vertex_functions.make_function("ChildSumTreeLSTM")
    model = cavs.compile(function, dtype="float64")
    inputs = draw_inputs(model, GRAPHS)
    expected = run(model, GRAPHS, inputs).params
    frozen = {"u_f.weight", "embedding.weight", "classifier.bias"}
    for learns in (False, True):
        for name, p in model.named_parameters():
            p.requires_grad = learns or name not in frozen
        found = run(model, GRAPHS, inputs).params
        for name, p in model.named_parameters():
            assert (p.grad is not None) == p.requires_grad
            if p.requires_grad:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12)
    for p in model.parameters():
        p.requires_grad = False
    assert not model(GRAPHS, **inputs)["loss"].requires_grad


def test_threads_may_call_a_new_model_at_once() -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])])
    given = {"word": [1, 2, -1], "label": [0, 1, 2]}

    def losses(model: cavs.Model) -> float:
        loss = model(graphs, **given)["loss"].sum()
        loss.backward(np.float32(0))
        return float(loss.item())

    for _ in range(5):
        model = cavs.compile(ChildSumTreeLSTM(4, 3, 3, 3))
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(losses, [model] * 8))
        assert found == pytest.approx([found[0]] * 8)


@pytest.mark.parametrize("change", ["in place", "replaced", "by a view", "by an optimizer"])
def test_inference_sees_every_change_of_a_weight(change: str) -> None:
    """Weights are brought into another layout once and kept, until they change."""
    function = ChildSumTreeLSTM(20, 24, 32, 3)
    model = cavs.compile(function)
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 8)
    inputs = {"word": np.arange(40, dtype=np.int32) % 20, "label": np.zeros(40, np.int32)}
    weight = function.u_iou.weight
    view = weight.data[:, 1:] if change == "by a view" else None
    optimizer = cavs.optim.SGD([weight], lr=0.5)
    for _ in range(3):
        if change == "in place":
            weight.data[0] += 1
        elif change == "replaced":
            weight.data = weight.data + 1
        elif view is not None:
            view += 1
        else:
            model(graphs, **inputs)["loss"].sum().backward()
            optimizer.step()
        with cavs.no_grad():
            got = [model(graphs, **inputs)["logits"].numpy() for _ in range(2)]
        fresh = ChildSumTreeLSTM(20, 24, 32, 3)
        fresh.load_state_dict(function.state_dict())
        with cavs.no_grad():
            expected = cavs.compile(fresh)(graphs, **inputs)["logits"].numpy()
        np.testing.assert_array_equal(got[0], expected)
        np.testing.assert_array_equal(got[1], expected)


# --- Another precision


def test_a_model_becomes_one_of_another_precision() -> None:
    model = cavs.compile(vertex_functions.make_function("ChildSumTreeLSTM", "float32"), seed=4)
    inputs = draw_inputs(model, GRAPHS)
    model(GRAPHS, **inputs)
    parameters, state = model.parameters(), model.random_state()
    narrow = {name: y.data for name, y in model.eval()(GRAPHS, **inputs).items()}
    model(GRAPHS, outputs=["loss"], **inputs)["loss"].sum().backward()
    assert model.to("float64") is model
    assert model.dtype == np.float64
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
    assert all(p.grad is None for p in model.parameters())
    assert model.random_state() == state
    assert not model.training
    other = cavs.compile(
        vertex_functions.make_function("ChildSumTreeLSTM", "float32"), dtype="float64", seed=4
    ).eval()
    for asked in (None, ["loss"]):
        wide, expected = (m(GRAPHS, outputs=asked, **inputs) for m in (model, other))
        for name, y in wide.items():
            assert y.data.dtype == np.float64
            np.testing.assert_array_equal(y.data, expected[name].data)
            np.testing.assert_allclose(y.data, narrow[name], rtol=1e-4, atol=1e-5)
    model.step(GRAPHS, cavs.optim.SGD(model.parameters(), 0.1), **inputs)
    model.to(np.float32)
    assert model(GRAPHS, **inputs)["loss"].data.dtype == np.float32
    assert cavs.compile(model.function).dtype == np.float32


def test_what_was_made_for_the_old_precision_says_so() -> None:
    model = cavs.compile(vertex_functions.make_function("ChildSumTreeLSTM", "float32"))
    inputs = draw_inputs(model, GRAPHS)
    optimizer = cavs.optim.Adagrad(model.parameters(), 0.1)
    model.step(GRAPHS, optimizer, **inputs)
    loss = model(GRAPHS, **inputs)["loss"].sum()
    model.to(dtype="float64")
    with pytest.raises(cavs.CavsRuntimeError, match=r"^\[backward\] expected parameter"):
        loss.backward()
    with pytest.raises(cavs.CavsError, match=r"^\[optim\] .*make a new optimizer"):
        model.step(GRAPHS, optimizer, **inputs)
    model(GRAPHS, **inputs)["loss"].sum().backward()
    with pytest.raises(cavs.CavsError, match=r"^\[optim\] .*make a new optimizer"):
        optimizer.step()


def test_wrong_precisions_are_refused() -> None:
    model = cavs.compile(vertex_functions.make_function("ChildSumTreeLSTM", "float32"))
    for wrong in ("float16", "gpu", None, int, 3):
        message = r"^\[to\] expected dtype float32 or float64, or a device such as cpu"
        with pytest.raises(cavs.DTypeError, match=message):
            model.to(wrong)  # type: ignore[arg-type]
    assert model.dtype == np.float32


def test_a_program_becomes_one_of_another_precision() -> None:
    make = vertex_functions.make_function
    functions = {"a": make("ChildSumTreeLSTM", "float32"), "b": make("ChildSumTreeLSTM", "float32")}
    outer = cavs.VertexProgram(functions)
    outer.bias = cavs.Parameter(np.zeros(2, np.float32))  # type: ignore[attr-defined]
    program = cavs.compile(outer)
    with pytest.raises(InputError, match=r"^\[to\] expected a model that is no part of a program"):
        program["a"].to("float64")
    assert program.to("float64") is program
    assert {p.dtype for p in program.parameters()} == {np.dtype(np.float64)}
    inputs = draw_inputs(program["b"], GRAPHS)
    assert program["b"](GRAPHS, **inputs)["loss"].data.dtype == np.float64
