"""Random operations draw the same samples however they run, and new ones in each training call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model_runs import parts, some_graphs

import cavs
from cavs.core.passes import PASSES

pytestmark = pytest.mark.usefixtures("small_pieces", "threads")


class Masks(cavs.VertexFunction):
    """What dropout keeps, on vertices, edges and graphs, in front of and within the levels."""

    def forward(self, v: cavs.Vertex) -> None:
        one, edge = v.pull("one", 5), v.gather(h=5).h * 0.0 + 1.0
        v.scatter(h=one)
        v.push(
            vertex=cavs.ops.dropout(one, 0.5),
            level=cavs.ops.dropout(edge.sum() * 0.0 + 1.0, 0.25),
            edge=cavs.ops.dropout(edge, 0.5),
            graph=cavs.ops.dropout(v.pull_graph("all", 5), 0.5),
        )


def test_samples_do_not_depend_on_batching_passes_or_threads() -> None:
    graphs = some_graphs()
    ones = {"one": np.ones((graphs.num_vertices, 5)), "all": np.ones((len(graphs), 5))}

    def masks(model: cavs.Model, batch: cavs.GraphBatch, inputs: dict[str, Any]) -> Any:
        model.set_random_state({"seed": 11, "step": 2**33 + 5})
        return {k: y.data for k, y in model(batch, **inputs).items()}

    expected = masks(cavs.compile(Masks(), executor="reference"), graphs, ones)
    assert 0.3 < (expected["vertex"] == 0).mean() < 0.7
    assert set(np.unique(expected["vertex"])) == {0.0, 2.0}
    for passes in ((), PASSES):
        for policy in ("serial", "batching"):
            for count in (1, 3):
                cavs.set_num_threads(count)
                model = cavs.compile(Masks(), passes=passes, policy=policy)
                for k, y in masks(model, graphs, ones).items():
                    np.testing.assert_array_equal(y, expected[k], err_msg=k)
    model = cavs.compile(Masks())
    for g, graph in enumerate(cavs.unbatch(graphs)):
        alone = cavs.batch([graph], keys=graphs.keys[g : g + 1])
        found = masks(model, alone, parts(graphs, model, ones, g))
        for k, y in found.items():
            rows = graphs.edge_ptr if k == "edge" else graphs.ptr
            np.testing.assert_array_equal(y, expected[k][rows[g] : rows[g + 1]], err_msg=k)


def test_each_training_call_draws_anew_and_evaluation_draws_nothing() -> None:
    graphs = cavs.batch([cavs.InputGraph([[]] * 40)])
    ones = {"one": np.ones((40, 5)), "all": np.ones((1, 5))}
    model = cavs.compile(Masks(), seed=4)
    first, second = model(graphs, **ones), model(graphs, **ones)
    assert (first["vertex"].data != second["vertex"].data).any()
    assert (first["vertex"].data != first["level"].data).any()  # operations draw for themselves
    assert model.random_state() == {"seed": 4, "step": 2}
    model.set_random_state({"seed": 4, "step": 0})
    np.testing.assert_array_equal(model(graphs, **ones)["vertex"].data, first["vertex"].data)
    model.eval()
    assert (model(graphs, **ones)["vertex"].data == 1).all()
    assert model.random_state() == {"seed": 4, "step": 1}
    other = cavs.compile(Masks(), seed=5)
    assert (other(graphs, **ones)["vertex"].data != first["vertex"].data).any()
