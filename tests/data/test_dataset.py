"""Data sets: flat arrays of any choice of samples, whatever their sizes."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import ops
from cavs.data import Dataset
from cavs.errors import InputError, ShapeError
from cavs.scheduler import InputGraph

GRAPHS = [
    InputGraph(children=[[], [], [0, 1]]),
    InputGraph(children=[[]]),
    InputGraph(children=[]),
    InputGraph(children=[[], [0], [0, 1, 1]]),
]


def make() -> Dataset:
    return Dataset(
        GRAPHS,
        vertex={"word": np.arange(7, dtype=np.int32), "vector": np.arange(14.0).reshape(7, 2)},
        edge={"kind": np.arange(6, dtype=np.int32)},
        graph={"answer": np.arange(4, dtype=np.int32)},
    )


def test_samples() -> None:
    dataset = make()
    assert (len(dataset), dataset.num_vertices, dataset.num_edges) == (4, 7, 6)
    assert dataset.sizes.tolist() == [3, 1, 0, 3]
    assert dataset.names == ("word", "vector", "kind", "answer")
    graph, inputs = dataset[3]
    assert graph == GRAPHS[3]
    assert inputs["word"].tolist() == [4, 5, 6]
    assert inputs["vector"].tolist() == [[8, 9], [10, 11], [12, 13]]
    assert inputs["kind"].tolist() == [2, 3, 4, 5]
    assert inputs["answer"] == 3
    assert dataset[-1][1]["answer"] == 3
    assert [inputs["word"].size for _, inputs in dataset] == [3, 1, 0, 3]
    with pytest.raises(IndexError, match="a sample of a data set of 4, got 4"):
        dataset[4]


@given(st.lists(st.integers(0, 3), max_size=12))
def test_a_batch_is_its_samples_end_to_end(indices: list[int]) -> None:
    dataset = make()
    graphs, inputs = dataset.batch(indices)
    assert graphs.num_graphs == len(indices)
    copies = [indices[:place].count(index) for place, index in enumerate(indices)]
    expected = [index + copy * 2**32 for index, copy in zip(indices, copies, strict=True)]
    assert graphs.keys.tolist() == expected
    samples = [dataset[index] for index in indices]
    assert np.diff(graphs.ptr).tolist() == [graph.num_vertices for graph, _ in samples]
    for name, values in inputs.items():
        parts = [sample[name] for _, sample in samples]
        flat = (
            np.stack(parts)
            if name == "answer" and parts
            else np.concatenate([dataset.flat(name)[:0], *([] if name == "answer" else parts)])
        )
        np.testing.assert_array_equal(values, flat)
        assert values.dtype == dataset.flat(name).dtype
        assert values.flags.c_contiguous


class Drawn(cavs.VertexFunction):
    """Numbers of every kind that vertices, edges and graphs draw."""

    def forward(self, v: cavs.Vertex) -> None:
        one = v.pull("vector", 2) * 0.0 + 1.0
        v.push(
            u=v.uniform(3), z=v.normal(2), kept=ops.dropout(one, 0.5), bit=ops.bernoulli(one * 0.5)
        )


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_copies_of_a_sample_draw_numbers_of_their_own(executor: str) -> None:
    """A bound of 64 samples of one image is one of 64, whatever else is in the batch."""
    dataset = make().select("vector")
    model = cavs.compile(Drawn(), executor=executor)

    def draw(indices: list[int]) -> list[np.ndarray]:
        model.set_random_state({"seed": 1, "step": 5})
        graphs, inputs = dataset.batch(indices)
        return cavs.unbatch(graphs, np.hstack([y.data for y in model(graphs, **inputs).values()]))

    once = draw([3, 0])
    copies = draw([0, 3, 3, 0, 3])
    np.testing.assert_array_equal(copies[1], once[0])  # first copies draw as they do alone
    np.testing.assert_array_equal(copies[0], once[1])
    of_sample = [copies[1], copies[2], copies[4]]
    for a, b in combinations(of_sample, 2):
        assert (a[:, :5] != b[:, :5]).all()
    np.testing.assert_array_equal(draw([3, 3, 3])[2], copies[4])  # by how many came before


def test_keys_that_a_caller_gives_stay() -> None:
    graphs = cavs.batch([GRAPHS[0]] * 2, keys=[7, 7])
    assert graphs.keys.tolist() == [7, 7]


def test_batches_are_copies() -> None:
    dataset = make()
    for indices in ([0, 1], [1, 0]):
        dataset.inputs(indices)["word"][:] = -7
    assert dataset.flat("word").tolist() == list(range(7))


def test_from_samples_gives_the_same() -> None:
    dataset = make()
    again = Dataset.from_samples(dataset, edge=["kind"], graph=["answer"])
    assert set(again.names) == set(dataset.names)
    for name in dataset.names:
        np.testing.assert_array_equal(again.flat(name), dataset.flat(name))
        assert again.flat(name).dtype == dataset.flat(name).dtype
    assert len(Dataset.from_samples([])) == 0


def test_subset_and_select() -> None:
    part = make().subset([3, 0]).select("kind")
    assert part.names == ("kind",)
    assert part.flat("kind").tolist() == [2, 3, 4, 5, 0, 1]
    assert part.graphs == (GRAPHS[3], GRAPHS[0])
    with pytest.raises(InputError, match="got 'tag'"):
        part.select("tag")


def test_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected one row per vertex .*7 rows.*'word'.*\(6,\)"):
        Dataset(GRAPHS, vertex={"word": np.zeros(6)})
    with pytest.raises(ShapeError, match=r"one row per edge"):
        Dataset(GRAPHS, edge={"word": np.zeros(7)})
    with pytest.raises(InputError, match="'word' twice"):
        Dataset(GRAPHS, vertex={"word": np.zeros(7)}, edge={"word": np.zeros(6)})
    dataset = make()
    with pytest.raises(InputError, match=r"from 0 to 3, got 4"):
        dataset.batch([0, 4])
    with pytest.raises(InputError, match=r"from 0 to 3, got -1"):
        dataset.inputs([-1])
    with pytest.raises(InputError, match="list of integers"):
        dataset.inputs([0.5])
    with pytest.raises(InputError, match="list of integers"):
        dataset.inputs(3)
    with pytest.raises(InputError, match=r"got \['tag'\] of sample 1"):
        Dataset.from_samples([(GRAPHS[1], {"word": [1]}), (GRAPHS[1], {"tag": [1]})])
    with pytest.raises(ShapeError, match=r"expected 1 rows .*'word' of sample 1, got shape \(2,\)"):
        Dataset.from_samples([(GRAPHS[1], {"word": [1]}), (GRAPHS[1], {"word": [1, 2]})])
    with pytest.raises(ShapeError, match=r"of the shape that sample 0 has"):
        Dataset.from_samples([(GRAPHS[1], {"word": [1]}), (GRAPHS[1], {"word": [[1]]})])
    with pytest.raises(ShapeError, match=r"got shape \(\); .*graph=\[\.\.\.\] where it is theirs"):
        Dataset.from_samples([(GRAPHS[1], {"label": 1})])
    for names in ({"graph": ["lable"]}, {"edge": ["lable"]}):
        with pytest.raises(InputError, match=r"inputs \['label'\] in edge and graph, got 'lable'"):
            Dataset.from_samples([(GRAPHS[1], {"label": [1]})], **names)
