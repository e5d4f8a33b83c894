"""Dropout by id: one mask for an id, or for a tuple of ids, in a call, wherever it stands."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches

import cavs
from cavs import nn, ops
from cavs.core.attributes import UniformAttributes
from cavs.core.compiler import Compiler
from cavs.core.passes import PASSES
from cavs.core.program import Instruction
from cavs.errors import CavsError
from cavs.execution.native import NativeExecutor


class MasksById(cavs.VertexFunction):
    """What dropout by id keeps of ones, for words, for pairs and for triples of ids."""

    def __init__(self) -> None:
        self.table = nn.Embedding(6, 11)
        self.table.weight.data[...] = 1.0

    def forward(self, v: cavs.Vertex) -> None:
        # What is zero for the id -1 is made 1 there.
        word, tag = (
            ops.square(self.table(v.pull(k, dtype="int32")) - 0.5) * 4.0 for k in ("word", "tag")
        )
        topic = ops.square(self.table(v.pull_graph("topic", dtype="int32")) - 0.5) * 4.0
        relation = ops.square(self.table(v.pull_edge("relation", dtype="int32")) - 0.5) * 4.0
        drop = nn.Dropout(0.5, by="id")
        masks = {"word": drop(word), "again": drop(word), "pair": drop(word * tag)}
        masks |= {"three": drop(topic * tag * word), "edge": drop(relation), "topic": drop(topic)}
        masks["edge_word"] = drop(relation * word)
        h = v.gather(h=11).h
        v.scatter(h=masks["word"])
        v.push(**masks, sum=(h * masks["edge_word"]).sum())


def ids_for(graphs: cavs.GraphBatch, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = {
        "word": graphs.num_vertices,
        "tag": graphs.num_vertices,
        "topic": graphs.num_graphs,
        "relation": graphs.num_edges,
    }
    return {k: rng.integers(-1, 6, n).astype(np.int32) for k, n in rows.items()}


def masks_of(graphs: cavs.GraphBatch, ids: dict[str, Any], **options: Any) -> dict[str, Any]:
    model = cavs.compile(MasksById(), **options)
    model.set_random_state({"seed": 11, "step": 2**33 + 5})
    return {k: y.data for k, y in model(graphs, **ids).items()}


@pytest.mark.usefixtures("restored_threads")
@settings(max_examples=15)
@given(graphs=batches(), data=st.data())
def test_dropout_by_id_is_the_same_bits_everywhere(
    graphs: cavs.GraphBatch, data: st.DataObject
) -> None:
    """For each graph alone, whatever its key, with passes or without, in any order."""
    ids = ids_for(graphs)
    expected = masks_of(graphs, ids, executor="reference")
    cavs.set_num_threads(data.draw(st.sampled_from([1, 3])))
    for passes in ((), PASSES, data.draw(st.lists(st.sampled_from(PASSES), unique=True))):
        for policy in ("serial", "batching"):
            found = masks_of(graphs, ids, passes=passes, policy=policy)
            for name, mask in found.items():
                np.testing.assert_array_equal(mask, expected[name], err_msg=name)
    for g, graph in enumerate(cavs.unbatch(graphs)):
        rows = {"topic": slice(g, g + 1), "relation": slice(*graphs.edge_ptr[g : g + 2])}
        vertices = slice(*graphs.ptr[g : g + 2])
        own = {k: x[rows.get(k, vertices)] for k, x in ids.items()}
        alone = masks_of(cavs.batch([graph], keys=[1000 + g]), own)
        for name, mask in alone.items():
            where = rows["relation"] if name.startswith("edge") else vertices
            np.testing.assert_array_equal(mask, expected[name][where], err_msg=name)


def test_a_mask_belongs_to_an_id_and_to_a_tuple_of_ids() -> None:
    graphs = cavs.batch([cavs.InputGraph([[]] * 150) for _ in range(3)])
    ids = ids_for(graphs)
    masks = masks_of(graphs, ids)
    topic = np.repeat(ids["topic"], 150)
    tuples = {
        "word": (ids["word"],),
        "again": (ids["word"],),
        "pair": (ids["tag"], ids["word"]),
        "three": (ids["tag"], topic, ids["word"]),
        "topic": (topic,),
    }
    for name, columns in tuples.items():
        distinct, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        rows = np.unique(np.column_stack([inverse.reshape(-1), masks[name]]), axis=0)
        assert len(rows) == len(distinct)  # one mask for each,
        if name != "topic":  # and nearly always another
            assert len(np.unique(rows[:, 1:], axis=0)) > 0.8 * len(distinct), name
        assert set(np.unique(masks[name])) == {0.0, 2.0}
        assert 0.35 < (masks[name] == 0).mean() < 0.65
    assert (masks["word"] != masks["again"]).any()  # operations draw for themselves


def test_each_training_call_draws_by_id_anew() -> None:
    """Without gradients too, where results by id are kept in evaluation."""
    graphs = cavs.batch([cavs.InputGraph([[], [0], [0, 1]])])
    ids = ids_for(graphs)
    model = cavs.compile(MasksById(), outputs=["word"], seed=3)
    given = {"word": ids["word"]}
    with cavs.no_grad():
        first, second = model(graphs, **given)["word"].data, model(graphs, **given)["word"].data
        assert (first != second).any()
        model.eval()
        for _ in range(2):
            assert (model(graphs, **given)["word"].data == 1).all()
        model.train().set_random_state({"seed": 3, "step": 0})
        np.testing.assert_array_equal(model(graphs, **given)["word"].data, first)
    model.set_random_state({"seed": 3, "step": 1})
    np.testing.assert_array_equal(model(graphs, **given)["word"].data, second)


def test_functions_of_a_program_draw_by_id_for_themselves() -> None:
    program = cavs.compile(cavs.VertexProgram({"a": MasksById(), "b": MasksById()}), seed=4)
    graphs = cavs.batch([cavs.InputGraph([[]] * 9)])
    ids = ids_for(graphs)
    one, other = (program[name](graphs, **ids)["word"].data for name in "ab")
    assert (one != other).any()


def test_programs_of_wrong_ids_are_refused() -> None:
    """The native engine looks at operands before it runs anything."""

    compiler = Compiler(MasksById(), ())
    program = compiler.inference()

    def load(change: Callable[[Instruction], Instruction]) -> None:
        segments = [
            replace(
                segment,
                instructions=tuple(
                    change(i) if i.kernel == "dropout_by_id" else i for i in segment.instructions
                ),
            )
            for segment in program.segments
        ]
        changed = replace(program, segments=tuple(segments))
        NativeExecutor(compiler, "float32", "batching").load(changed)

    load(lambda i: i)
    wrong: list[tuple[Callable[[Instruction], Instruction], str]] = [
        (
            lambda i: replace(i, inputs=i.inputs[:1], tables=i.tables[:1]),
            "2 or more inputs and one output",
        ),
        (lambda i: replace(i, inputs=(i.inputs[0],) * 2), "one int32 per row as id"),
        (lambda i: replace(i, inputs=(i.inputs[1],) * 2), "floating-point values"),
        (lambda i: replace(i, attributes=None), "attribute 'key'"),
        (lambda i: replace(i, attributes=UniformAttributes(1)), "attribute 'rate'"),
    ]
    for change, message in wrong:
        with pytest.raises(CavsError, match=message):
            load(change)
