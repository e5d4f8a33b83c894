"""Evaluation: programs without dropout, in every call and whatever the mode is afterwards."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import assert_same, compiled, draw_cotangents, draw_inputs, run
from strategies import batches

import cavs
from cavs.core.ir import ancestors
from cavs.core.modes import evaluation
from cavs.core.passes import PASSES
from cavs.core.trace import trace
from cavs.models import ChildSumTreeLSTM

GRAPHS = cavs.batch(
    [cavs.InputGraph([[], [], [0, 1], [2, 0]]), cavs.InputGraph([[1, 2, 3], [], [1], []])]
)


def tree_lstm(dropout: float, dtype: str = "float64", **options: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(1)
    function = ChildSumTreeLSTM(9, 4, 5, 4, dropout=dropout, embedding_dropout=dropout)
    return cavs.compile(function, dtype=dtype, **options)


def sorted_lines(program: str) -> list[str]:
    return sorted(re.sub(r"%\d+", "%", program).splitlines())


def kernels(program: Any) -> list[str]:
    return [i.kernel for s in program.segments for i in s.instructions]


def test_the_trace_has_what_dropout_was_of() -> None:
    traced = trace(vertex_functions.make_function("DroppedEverywhere"))
    bare = evaluation(traced)
    names = [n.op.name for n in ancestors(traced.function.roots())]
    left = ancestors(bare.function.roots())
    assert names.count("dropout") == 8
    assert [n.op.name for n in left] == [name for name in names if name != "dropout"]
    keys = [n.attrs["key"] for n in ancestors(traced.function.roots()) if n.op.name == "uniform"]
    assert [n.attrs["key"] for n in left if n.op.name == "uniform"] == keys
    assert evaluation(bare) is bare
    assert bare.inputs == traced.inputs


@pytest.mark.parametrize("passes", [PASSES, ()])
def test_programs_are_those_of_a_function_without_dropout(passes: tuple[str, ...]) -> None:
    model, plain = tree_lstm(0.5, passes=passes), tree_lstm(0.0, passes=passes)
    assert "dropout" in model.program
    assert "dropout" not in model.eval().program
    # Without `simplify` nodes are not numbered anew, and what is kept may come in another order.
    assert sorted_lines(model.program) == sorted_lines(plain.program)
    assert model.program == plain.program or not passes
    assert "dropout" in model.train().program
    dropped = compiled("DroppedEverywhere", passes=passes)._compiler
    for mode, found in ((True, True), (False, False)):
        compiler = dropped.in_mode(mode)
        programs = [
            compiler.inference(),
            compiler.training(["x"]),
            compiler.backward(["h", "edges"], ["x"]),
        ]
        assert all(("dropout" in kernels(program)) == found for program in programs)


def test_dropout_by_id_goes_as_any() -> None:
    """What is by distinct ids is then remembered between calls, which in training it is not."""

    def make(rate: float) -> cavs.Model:
        cavs.nn.init.manual_seed(1)
        by_id = {"embedding_dropout": rate, "embedding_dropout_by": "id"}
        return cavs.compile(ChildSumTreeLSTM(9, 4, 5, 4, **by_id), dtype="float64")  # type: ignore[arg-type]

    model, plain = make(0.5), make(0.0)
    assert "dropout_by_id" in model.program
    assert model.eval().program == plain.eval().program
    compilers = [model._compiler.in_mode(training) for training in (True, False)]
    assert [len(c.remembering()[1]) for c in compilers] == [0, 2]


def test_without_dropout_there_is_one_compiler() -> None:
    compiler = tree_lstm(0.0)._compiler
    assert compiler.in_mode(True) is compiler.in_mode(False) is compiler


@pytest.mark.parametrize("name", ["DroppedEverywhere", "Dropouts", "DropoutsById"])
@settings(max_examples=10)
@given(graphs=batches(), plain=st.booleans())
def test_equal_to_the_reference(name: str, graphs: cavs.GraphBatch, plain: bool) -> None:
    """Calls with gradients and without, and the other mode's results after them."""
    model = compiled(name, passes=()) if plain else compiled(name)
    reference = compiled(name, executor="reference")
    inputs = draw_inputs(model, graphs)
    for training in (False, True, False):
        model.training = reference.training = training
        expected = run(reference, graphs, inputs)
        assert_same(run(model, graphs, inputs), expected)
        model.set_random_state({"seed": 3, "step": 7})
        with cavs.no_grad():
            for key, y in model(graphs, **inputs).items():
                np.testing.assert_allclose(y.data, expected.outputs[key], 1e-9, 1e-11)
    model.train()
    reference.train()


@settings(max_examples=15)
@given(graphs=batches(), seed=st.integers(0, 10_000))
def test_drawn_functions_in_evaluation(graphs: cavs.GraphBatch, seed: int) -> None:
    def model(**options: Any) -> cavs.Model:
        cavs.nn.init.manual_seed(seed)
        function = vertex_functions.RandomFunction(seed)
        options["extra_children"] = "ignore"
        return cavs.compile(function, dtype="float64", **options).eval()

    reference = model(executor="reference")
    inputs = draw_inputs(reference, graphs, seed)
    expected = run(reference, graphs, inputs)
    assert_same(run(model(), graphs, inputs), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("first", [True, False])
def test_the_mode_may_change_between_forward_and_backward(first: bool) -> None:
    """Backward is that of the call: with its dropout, or without."""
    model = compiled("DroppedEverywhere")
    inputs = draw_inputs(model, GRAPHS)

    def gradients(changed: bool) -> dict[str, np.ndarray]:
        model.training = first
        model.set_random_state({"seed": 3, "step": 7})
        model.zero_grad()
        out = model(GRAPHS, **inputs)
        weights = draw_cotangents(out)
        total = sum((out[k] * cavs.Tensor(w, "float64")).sum() for k, w in weights.items())
        if changed:
            model.training = not first
            model(GRAPHS, **inputs)
        total.backward()
        model.train()
        return {
            name: p.grad.to_dense() if isinstance(p.grad, cavs.RowSparse) else p.grad.copy()
            for name, p in model.named_parameters()
        }

    expected = gradients(changed=False)
    for name, gradient in gradients(changed=True).items():
        np.testing.assert_array_equal(gradient, expected[name], err_msg=name)
        assert gradient.any()


def test_explain_and_memory_are_of_the_mode() -> None:
    model, plain = tree_lstm(0.5), tree_lstm(0.0)
    inputs = draw_inputs(model, GRAPHS)
    for training in (True, False):
        model.training = training
        profile = model.explain(GRAPHS, repeats=1, **inputs)
        directions = {r.direction for r in profile.records if r.kernel == "dropout"}
        assert directions == ({"inference", "forward", "backward"} if training else set())
        assert ("= dropout(" in model.explain()) == training
    many = cavs.batch(cavs.unbatch(GRAPHS) * 100)
    inputs = draw_inputs(model, many)
    for gradients in (True, False):
        expected = plain.memory(many, gradients=gradients, **inputs)
        assert model.memory(many, gradients=gradients, **inputs) == expected
        model.train()
        assert model.memory(many, gradients=gradients, **inputs) > expected
        model.eval()


def test_what_depends_on_a_word_is_remembered_in_evaluation() -> None:
    """Dropout of words stands in the way of that in training mode alone."""
    compiler = tree_lstm(0.5)._compiler
    assert compiler.remembering()[1] == []
    assert len(compiler.in_mode(False).remembering()[1]) == 2


def test_samples_are_drawn_as_before() -> None:
    """By the same keys as in training mode, and the step counts on."""
    model = compiled("DroppedEverywhere")
    inputs = draw_inputs(model, GRAPHS)
    drawn = []
    for training in (True, False):
        model.training = training
        model.set_random_state({"seed": 5, "step": 2})
        drawn.append(model(GRAPHS, **inputs)["noise"].data)
        assert model.random_state() == {"seed": 5, "step": 3}
    model.train()
    np.testing.assert_array_equal(*drawn)
    quiet = tree_lstm(0.5).eval()
    before = quiet.random_state()
    quiet(GRAPHS, **draw_inputs(quiet, GRAPHS))
    assert quiet.random_state() == before


def test_a_growing_graph_is_computed_in_the_mode_of_the_model() -> None:
    model, plain = tree_lstm(0.5), tree_lstm(0.0)

    def grow(grown: cavs.Model) -> dict[str, np.ndarray]:
        inputs = [{"word": np.array(w), "label": np.zeros(len(w), np.int32)} for w in ([1, 4], [2])]
        roots = cavs.Growth([[], []], inputs[0], graph=np.zeros(2, np.int64))
        levels = iter([cavs.Growth([[0, 1]], inputs[1]), None])
        grown.set_random_state({"seed": 1, "step": 0})
        return cavs.unfold(grown, roots, lambda _: next(levels), num_graphs=1).outputs

    expected = grow(plain)
    for name, y in grow(model).items():
        assert (y != expected[name]).any()
    for name, y in grow(model.eval()).items():
        np.testing.assert_allclose(y, expected[name], rtol=1e-10)


def test_a_program_of_several_functions_has_one_mode() -> None:
    def make(dropout: float) -> cavs.Program:
        cavs.nn.init.manual_seed(2)
        function = ChildSumTreeLSTM(9, 4, 5, 4, dropout=dropout)
        return cavs.compile(cavs.VertexProgram({"tree": function}))

    dropped, plain = make(0.5), make(0.0)
    assert dropped["tree"].program != plain["tree"].program
    assert dropped.eval()["tree"].program == plain["tree"].program
