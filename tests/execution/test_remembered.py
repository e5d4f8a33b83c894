"""Inference that keeps what depends on one integer pull alone, against calls that keep nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled, draw_inputs
from strategies import batches

import cavs
from cavs.core.compiler import Compiler
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES
from cavs.errors import CavsError, InputError
from cavs.execution.native import NativeExecutor
from cavs.execution.remembered import MOST_AT_ONCE
from cavs.models import LSTM, MVRNN, ChildSumTreeLSTM, LatticeLSTM

WITHOUT = tuple(p for p in PASSES if p != "remember_pulls")
NAMES = (
    "ChildSumTreeLSTM",
    "NaryTreeLSTM",
    "Lattice",
    "SharedEmbedding",
    "EdgeInputs",
    "OnlyIds",
    "Pairs",
)


def infer(model: cavs.Model, graphs: cavs.GraphBatch, inputs: dict[str, Any]) -> dict[str, Any]:
    model.eval()
    with cavs.no_grad():
        return {name: y.numpy() for name, y in model(graphs, **inputs).items()}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(drawn=st.lists(batches(), min_size=1, max_size=4))
def test_equal_to_calls_that_keep_nothing(name: str, drawn: list[cavs.GraphBatch]) -> None:
    """One model over several batches: later ones find ids that came before."""
    model = compiled(name, passes=PASSES)
    plain = compiled(name, passes=WITHOUT)
    for number, graphs in enumerate(drawn):
        inputs = draw_inputs(model, graphs, number)
        expected = infer(plain, graphs, inputs)
        for key, got in infer(model, graphs, inputs).items():
            np.testing.assert_allclose(got, expected[key], 1e-9, 1e-11)


def test_rest_reads_and_does_not_compute() -> None:
    compiler = Compiler(ChildSumTreeLSTM(7, 4, 6, 3))
    program, parts = compiler.remembering()
    kernels = [i.kernel for s in program.segments for i in s.instructions]
    assert "embedding" not in kernels
    assert all(str(s.space) != "unique:word@leaf" for s in program.segments)
    assert [part.count for part, _ in parts] == [7, 7]
    assert Compiler(ChildSumTreeLSTM(7, 4, 6, 3), WITHOUT).remembering()[1] == []


def test_an_id_is_computed_once_until_a_parameter_changes() -> None:
    model = cavs.compile(LSTM(9, 4, 5, 3))
    executor = model._executor
    assert isinstance(executor, NativeExecutor)
    graphs = cavs.batch([cavs.InputGraph([[], [0], [1]])])
    computed: list[list[int]] = []
    for memory, _ in executor.remembering(executor.compiler.in_mode(False))[1]:
        results = memory.results

        def counted(
            ids: Any, schedule: Any, versions: Any, compute: Any, results: Any = results
        ) -> Any:
            def noted(vertices: Any, missing: Any) -> Any:
                computed.append(missing.tolist())
                return compute(vertices, missing)

            return results(ids, schedule, versions, noted)

        memory.results = counted  # type: ignore[method-assign]
    label = np.zeros(3, np.int32)
    for word in ([3, -1, 3], [3, 1, -1], [1, 3, -1]):
        infer(model, graphs, {"word": np.array(word, np.int32), "label": label})
    parts = len(executor.remembering(executor.compiler.in_mode(False))[1])
    assert sorted(computed) == sorted([[-1, 3]] * parts + [[1]] * parts)
    parameter = next(iter(model.parameters()))
    parameter.data[0] += 1
    infer(model, graphs, {"word": np.array([1, 1, 1], np.int32), "label": label})
    assert computed[2 * parts :] == [[1]] * parts


def test_a_part_without_rows_computes_nothing() -> None:
    """A lattice has no words without a character before them."""
    char, word = (cavs.InputGraph(*x) for x in (([[]], ["char"]), ([[], [0]], ["char", "word"])))
    model = cavs.compile(LatticeLSTM(9, 9, 4, 5, 3))
    executor = model._executor
    assert isinstance(executor, NativeExecutor)
    inputs = {"character": np.array([2, 3], np.int32), "word": np.array([7], np.int32)}
    infer(model, cavs.batch([char, word]), {**inputs, "label": np.zeros(2, np.int32)})
    known = {
        str(memory.part.base): np.flatnonzero(memory._rows.known).tolist()
        for memory, _ in executor.remembering(executor.compiler.in_mode(False))[1]
        if memory._rows is not None
    }
    assert known == {
        "leaf:char": [2, 3],
        "inner:char": [],
        "leaf:word": [],
        "inner:word": [7],
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_has_rows_of_its_own() -> None:
    model = cavs.compile(LSTM(9, 4, 5, 3))
    graphs = cavs.batch([cavs.InputGraph([[], [0]])])
    inputs = {"word": np.array([3, 4], np.int32), "label": np.zeros(2, np.int32)}
    expected = infer(model, graphs, inputs)
    executor = model._executor
    assert isinstance(executor, NativeExecutor)
    child = os.fork()
    if child == 0:
        for memory, _ in executor.remembering(executor.compiler.in_mode(False))[1]:
            rows = memory._rows
            for results in rows.results.values() if rows else ():
                results[...] = 7
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    for name, y in infer(model, graphs, inputs).items():
        np.testing.assert_array_equal(y, expected[name], err_msg=name)


def test_many_ids_are_computed_in_turns() -> None:
    function = LSTM(5000, 8, 5, 3)
    model, plain = (cavs.compile(function, dtype="float64", passes=p) for p in (None, ()))
    graphs = cavs.batch([cavs.InputGraph([[]] * 3000)])
    for seed in range(2):
        random = np.random.default_rng(seed)
        word = random.integers(-1, 5000, 3000).astype(np.int32)
        assert len(np.unique(word)) > 2 * MOST_AT_ONCE
        inputs = {"word": word, "label": np.zeros(3000, np.int32)}
        expected = infer(plain, graphs, inputs)
        for name, y in infer(model, graphs, inputs).items():
            np.testing.assert_allclose(y, expected[name], atol=1e-12, err_msg=name)


def test_wrong_ids_are_refused_as_ever() -> None:
    model = cavs.compile(ChildSumTreeLSTM(7, 4, 6, 3))
    for word in (7, -2):
        with pytest.raises(InputError, match=r"ids in -1\.\.6"):
            infer(
                model,
                cavs.batch([cavs.InputGraph([[]])]),
                {"word": np.array([word], np.int32), "label": np.zeros(1, np.int32)},
            )


def test_tables_too_large_to_keep_are_computed_anew() -> None:
    assert Compiler(ChildSumTreeLSTM(200_000, 1, 64, 3)).remembering()[1]
    assert not Compiler(ChildSumTreeLSTM(2_000_000, 1, 64, 3)).remembering()[1]


def test_what_tuples_give_is_computed_anew_from_what_single_ids_gave() -> None:
    program, parts = Compiler(vertex_functions.make_function("Pairs")).remembering()
    assert {part.pull for part, _ in parts} == {"tag"}
    spaces = {str(s.space) for s in program.segments}
    assert "unique:tag+word@leaf" in spaces
    assert "unique:tag@leaf" not in spaces


def test_ids_that_are_rows_cannot_be_counted() -> None:
    """The native program refuses tables that nobody fills."""
    compiler = Compiler(ChildSumTreeLSTM(7, 4, 6, 3), WITHOUT)
    program = compiler.inference()
    wrong = tuple(unique._replace(rows=8) for unique in program.uniques)
    program = replace(program, uniques=wrong)
    with pytest.raises(CavsError, match="ids that are rows themselves"):
        NativeExecutor(compiler, "float32", "batching").load(program)


def test_rows_of_embeddings_alone_are_read_where_they_stand() -> None:
    """Of an MV-RNN's words the logits are kept, no second table of matrices."""
    function = MVRNN(7, 4, 3)
    program, parts = Compiler(function).remembering()
    ((part, _),) = parts
    assert part.shapes == ((3,),)
    rows = [i for s in program.segments for i in s.instructions if i.kernel == "embedding"]
    assert [i.space for i in rows].count(SpaceKind.LEAF) == 2
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])])
    arrays = {"word": np.array([3, -1, -1, 3, 2], np.int32), "label": np.zeros(5, np.int32)}
    found = infer(cavs.compile(function), graphs, arrays)
    expected = infer(cavs.compile(function, passes=WITHOUT), graphs, arrays)
    for name, value in expected.items():
        np.testing.assert_allclose(np.asarray(found[name]), np.asarray(value), rtol=1e-5, atol=1e-6)
