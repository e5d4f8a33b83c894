"""Encoder and decoder in one graph: its edges, its flags, and attention over the encoder alone."""

import pickle
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import nn, ops
from cavs.data import Dataset, Loader, PairGraph, chain_graph, pair_graph
from cavs.errors import GraphError, InputError

LENGTHS = st.integers(0, 4)


@st.composite
def forests(draw: Any, most: int) -> cavs.InputGraph:
    """Vertices whose children stand before them, up to `most`, with holes among them."""
    size = draw(LENGTHS)
    children = [draw(st.lists(st.integers(-1, v - 1), max_size=most)) for v in range(size)]
    return cavs.InputGraph(children)


def padded(children: list[int], slots: int) -> list[int]:
    return children + [-1] * (slots - len(children))


def test_two_chains() -> None:
    graph = pair_graph(chain_graph(2), chain_graph(3))
    assert graph.children == [[], [0], [-1, 0, 1], [2, 0, 1], [3, 0, 1]]
    assert graph.is_decoder.tolist() == [0, 0, 1, 1, 1]
    assert graph.from_encoder.tolist() == [0, 1, 1, 0, 1, 1, 0, 1, 1]
    assert graph.is_decoder.dtype == graph.from_encoder.dtype == np.float32
    assert graph == cavs.InputGraph(graph.children, types=graph.types)


def test_vertices_have_the_types_of_their_side() -> None:
    graph = pair_graph(chain_graph(2), chain_graph(1))
    assert graph.types == ["encoder", "encoder", "decoder"]
    assert graph.reverse().types == graph.types
    batch = Dataset([graph, pair_graph(chain_graph(1), chain_graph(2))]).batch([1, 0])[0]
    assert batch.vertices("decoder").tolist() == [1, 2, 5]
    named = pair_graph(chain_graph(1), chain_graph(1), names=["source", "target"])
    assert named.types == ["source", "target"]
    assert pickle.loads(pickle.dumps(named)).types == named.types
    both_ways = cavs.InputGraph([[], [0], [1]], types=["forward", "backward", "backward"])
    assert pair_graph(both_ways, chain_graph(1)).types == [*(both_ways.types or ()), "decoder"]


def test_other_names_and_types_are_refused() -> None:
    one = chain_graph(1)
    for names in (["a"], ["a", "b", "c"]):
        with pytest.raises(InputError, match="expected two names of types, the encoder's and the "):
            pair_graph(one, one, names=names)
    with pytest.raises(InputError, match="two names of types"):
        pair_graph(one, one, names="encoder")
    with pytest.raises(GraphError, match="types by name in the graphs of a pair, got the number 1"):
        pair_graph(one, cavs.InputGraph([[]], types=[1]))


@given(forests(3), forests(2), st.integers(2, 3))
def test_children_are_own_ones_then_the_encoder(
    encoder: cavs.InputGraph, decoder: cavs.InputGraph, slots: int
) -> None:
    graph = pair_graph(encoder, decoder, slots=slots)
    seen = encoder.num_vertices
    expected = list(encoder.children)
    for own in decoder.children:
        shifted = [child + seen if child >= 0 else -1 for child in own]
        expected.append(padded(shifted, slots) + list(range(seen)))
    assert graph == cavs.InputGraph(expected, types=graph.types)
    assert graph.num_edges == encoder.num_edges + decoder.num_edges + seen * decoder.num_vertices
    assert graph.is_decoder.tolist() == [0.0] * seen + [1.0] * decoder.num_vertices
    edges = zip(*graph.to_edge_index().tolist(), strict=True)
    assert graph.from_encoder.tolist() == [float(a < seen <= b) for a, b in edges]


def test_it_is_a_graph_like_others() -> None:
    graph = pair_graph(chain_graph(2), cavs.InputGraph([[], [], [0, 1]]), slots=2)
    again = pickle.loads(pickle.dumps(graph))
    assert again == graph
    assert isinstance(again, PairGraph)
    assert again.from_encoder.tolist() == graph.from_encoder.tolist()
    plain = cavs.InputGraph(graph.children, types=graph.types)
    assert graph.reverse() == plain.reverse()
    assert type(graph.reverse()) is cavs.InputGraph
    assert len({graph, again, plain}) == 1
    assert (graph.encoder, graph.slots) == (chain_graph(2), 2)


def test_more_children_than_slots_are_refused() -> None:
    tree = cavs.InputGraph([[], [], [0, 1], [2]])
    message = r"\[data\] expected decoder .* at most 1 children .*, got 2 of vertex 2; pass slots=2"
    with pytest.raises(GraphError, match=message):
        pair_graph(chain_graph(3), tree)
    with pytest.raises(GraphError, match="got 2 of vertex 1; pass slots=2"):
        pair_graph(chain_graph(3), cavs.InputGraph([[], [-1, 0]]))
    assert pair_graph(tree, chain_graph(1)).children[-1] == [-1, 0, 1, 2, 3]


class Attention(cavs.VertexFunction):
    """h = tanh(x + U h_before + sum_k a_k h_k), a = softmax over the encoder of q . h_k."""

    def __init__(self, size: int, by_edge: bool) -> None:
        self.size, self.by_edge = size, by_edge
        self.u = nn.Linear(size, size, bias=False)
        self.q = nn.Linear(size, size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x, is_decoder = v.pull("x", self.size), v.pull("is_decoder")
        before = v.gather(0, h=self.size).h
        if self.by_edge:
            h, seen = v.gather(h=self.size).h, v.pull_edge("from_encoder")
            states = {}
        else:
            children = v.gather(h=self.size, encodes=())
            h, seen = children.h, children.encodes * is_decoder
            states = {"encodes": 1 - is_decoder}
        score = ops.sum(self.q(x) * h, axis=-1)
        weight = ops.where(seen, score, -np.inf).softmax()
        y = ops.tanh(x + self.u(before) + (weight * h).sum())
        v.scatter(h=y, **states)
        v.push(h=y, loss=ops.sum(y * y) * is_decoder)


@lru_cache
def compiled(by_edge: bool) -> cavs.Model:
    nn.init.manual_seed(3)
    return cavs.compile(Attention(3, by_edge), dtype="float64")


def alone(x: Any, u: Any, q: Any, seen: int) -> list[Any]:
    """The states of one pair of chains, of which the encoder has `seen` vertices."""
    states: list[Any] = []
    for vertex, own in enumerate(x):
        y = own.copy()
        if vertex not in (0, seen):
            y = y + u @ states[-1]
        if vertex >= seen > 0:
            scores = np.array([(q @ own) @ h for h in states[:seen]])
            weight = np.exp(scores - scores.max())
            y = y + sum(w * h for w, h in zip(weight / weight.sum(), states, strict=False))
        states.append(np.tanh(y))
    return states


@pytest.mark.parametrize("by_edge", [False, True])
@given(lengths=st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=4))
def test_attention_is_over_the_encoder_alone(by_edge: bool, lengths: list[tuple[int, int]]) -> None:
    """Both ways to tell the encoder: by the edge, and by what children scatter."""
    model = compiled(by_edge)
    model.zero_grad()
    graphs = [pair_graph(chain_graph(n), chain_graph(m)) for n, m in lengths]
    sizes = [graph.num_vertices for graph in graphs]
    x = np.random.default_rng(sum(sizes)).normal(size=(sum(sizes), 3))
    inputs = {"x": x, "is_decoder": np.concatenate([g.is_decoder for g in graphs])}
    if by_edge:
        inputs["from_encoder"] = np.concatenate([g.from_encoder for g in graphs])
    out = model(cavs.batch(graphs), **inputs)
    state = model.state_dict()
    parts = np.split(x, np.cumsum(sizes)[:-1])
    expected = [
        h
        for part, (seen, _) in zip(parts, lengths, strict=True)
        for h in alone(part, state["u.weight"], state["q.weight"], seen)
    ]
    np.testing.assert_allclose(out["h"].data, np.reshape(expected, (-1, 3)), rtol=1e-10)
    if sum(sizes):
        out["loss"].sum().backward()
        assert all(np.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_flags_travel_with_a_data_set() -> None:
    graphs = [pair_graph(chain_graph(n), chain_graph(2)) for n in (1, 3, 2)]
    samples = [(g, {"is_decoder": g.is_decoder, "from_encoder": g.from_encoder}) for g in graphs]
    ((batch, inputs),) = Loader(Dataset.from_samples(samples, edge=["from_encoder"]), 3)
    assert inputs["is_decoder"].tolist() == [0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1]
    assert cavs.unbatch(batch) == graphs
    assert len(inputs["from_encoder"]) == batch.num_edges


@pytest.mark.parametrize("encoder", [cavs.InputGraph([[]] * 3), cavs.InputGraph.chain(3, window=2)])
def test_a_decoder_without_children_of_its_own_has_runs(encoder: cavs.InputGraph) -> None:
    graph = pair_graph(encoder, cavs.InputGraph([[]] * 2), slots=0)
    assert graph.has_runs
    assert graph.children == [*encoder.children, [0, 1, 2], [0, 1, 2]]
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert graph.from_encoder.sum() == 6


def test_a_pair_of_other_graphs_is_written_out() -> None:
    leaves = cavs.InputGraph([[]] * 2)
    for encoder in (chain_graph(3), cavs.InputGraph.chain(3).reverse()):
        graph = pair_graph(encoder, leaves, slots=0)
        assert not graph.has_runs
        assert graph.children == [*encoder.children, [0, 1, 2], [0, 1, 2]]
    causal = pair_graph(leaves, cavs.InputGraph.chain(3), slots=2)
    assert causal.children == [[], [], [-1, -1, 0, 1], [2, -1, 0, 1], [2, 3, 0, 1]]
