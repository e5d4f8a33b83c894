"""Of a state of several types backward keeps the rows that it reads, not those of other types."""

import numpy as np

import cavs
from cavs import nn, ops
from cavs.execution.profile._plan import plan_call


class Leaf(cavs.VertexFunction):
    """Its state is a row of the embedding, which backward need not read."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(9, 4)

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(h=self.embedding(v.pull("word", dtype="int32")))


class Phrase(cavs.VertexFunction):
    """The gradient of tanh reads the state."""

    def __init__(self) -> None:
        self.u = nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.u(v.gather(h=4).h.sum()))
        v.scatter(h=h)
        v.push(loss=ops.sum(h))


def test_backward_keeps_the_states_of_the_types_that_it_reads() -> None:
    model = cavs.compile(cavs.TypedFunction({"leaf": Leaf(), "a": Phrase(), "b": Phrase()}))
    children = [[]] * 20 + [list(range(10)), list(range(10, 20)), [20, 21]]
    types = ["leaf"] * 20 + ["a", "b", "a"]
    graphs = cavs.batch([cavs.InputGraph(children, types=types)])
    word = np.arange(20, dtype=np.int32) % 9
    plan = plan_call(model._executor, graphs, {"word": word}, frozenset({"loss"}), training=True)
    rows = {}
    for program, sweep in plan.sweeps:
        names = {v.value: program.values[v.value].name for v in sweep.values}
        rows[sweep.direction] = {v.rows for v in sweep.values if names[v.value] == "h"}
    assert rows["forward"] == {23}
    assert 3 in rows["backward"]
    assert 23 not in rows["backward"]
