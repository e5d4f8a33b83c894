"""What the errors about ids name: the input, and the line of F that looks it up."""

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.errors import InputError

PAIR = [cavs.InputGraph([[], [0]])]


class Lookups(cavs.VertexFunction):
    """Ids of vertices, of edges and of graphs, some looked up twice."""

    def __init__(self) -> None:
        self.words = cavs.nn.Embedding(5, 3)
        self.few = cavs.nn.Embedding(4, 3)

    def forward(self, v: cavs.Vertex) -> None:
        word = v.pull("word", dtype="int32")
        x = self.words(word) + self.few(word)  # the fewer rows
        x = x + self.words(v.pull_graph("topic", dtype="int32"))
        h = v.gather(h=3).h + ops.embedding(self.few.weight, v.pull_edge("kind", dtype="int32"))
        h = x + h.sum()
        v.scatter(h=h)
        v.push(loss=ops.cross_entropy(h, v.pull("label", dtype="int32")))


GOOD = {"word": [0, 1], "topic": [0], "kind": [0], "label": [0, 1]}
WRONG = {
    "word": ([0, 4], 3, "x = self.words(word) + self.few(word)", "4 at graph 0, vertex 1"),
    "topic": ([5], 4, 'x = x + self.words(v.pull_graph("topic"', "5 at graph 0"),
    "kind": ([-2], 3, "h = v.gather(h=3).h + ops.embedding(", "-2 at graph 0, edge 0"),
    "label": ([3, 0], 2, "v.push(loss=ops.cross_entropy(h", "3 at graph 0, vertex 0"),
}


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("name", WRONG)
def test_ids_out_of_range_name_input_and_lookup(name: str, executor: str) -> None:
    ids, last, code, got = WRONG[name]
    model = cavs.compile(Lookups(), executor=executor)
    given: dict[str, Any] = {n: np.array(x, np.int32) for n, x in GOOD.items()}
    model(PAIR, **given)
    with pytest.raises(InputError) as error:
        model(PAIR, **{**given, name: np.array(ids, np.int32)})
    said = str(error.value)
    assert said.startswith(
        f"[input] expected ids in -1..{last} for {name!r}, looked up at {__file__}"
    )
    assert code in said
    assert f", got {got}; correct the ids" in said
