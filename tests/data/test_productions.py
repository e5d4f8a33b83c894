"""Trees as productions and back."""

import numpy as np
import pytest

import cavs
from cavs.data import (
    arities,
    generate_listops,
    grown_trees,
    parse_listops,
    production_dataset,
    production_vocabulary,
)
from cavs.data.listops_generator import ListOpsGenerator
from cavs.errors import DataError

TREE = parse_listops("[MAX 2 [MIN 4 7 ] 0 ]")


def test_each_vertex_says_its_symbol_and_its_children() -> None:
    vocabulary = production_vocabulary([TREE])
    assert vocabulary.to_list() == ["0/0", "2/0", "4/0", "7/0", "MAX/3", "MIN/2"]
    assert arities(vocabulary).tolist() == [0, 0, 0, 0, 3, 2]
    graph, inputs = production_dataset([TREE], vocabulary)[0]
    assert graph.types == ["leaf", "leaf", "leaf", "phrase", "leaf", "phrase"]
    assert inputs["phrases"].tolist() == [[0, 0, -1], [0, 1, 0]]
    tokens = vocabulary.decode(inputs["production"])
    assert tokens == ["2/0", "4/0", "7/0", "MIN/2", "0/0", "MAX/3"]
    assert inputs["slot"].tolist() == [0, 0, 1, 1, 2, -1]
    above = vocabulary.decode(inputs["above"])
    assert above == ["MAX/3", "MIN/2", "MIN/2", "MAX/3", "MAX/3", None]


def test_a_strange_production_is_named() -> None:
    vocabulary = production_vocabulary([TREE])
    other = parse_listops("[MAX 2 0 ]")
    with pytest.raises(DataError, match=r"tree 2: .* got 'MAX/2'"):
        production_dataset([TREE, other], vocabulary)


def test_slots_are_as_many_as_are_asked_for() -> None:
    vocabulary = production_vocabulary([TREE])
    _, inputs = production_dataset([TREE, TREE], vocabulary, num_slots=4).batch([1])
    assert inputs["phrases"].tolist() == [[0, 0, -1, -1], [0, 1, 0, -1]]
    with pytest.raises(DataError, match=r"tree 1: expected at most 2 children .*, got 3; raise"):
        production_dataset([TREE], vocabulary, num_slots=2)


def grow_down(trees: list[cavs.data.LabelledTree]) -> tuple[cavs.GraphBatch, np.ndarray]:
    """Graphs in which vertices gather from their parents, opened level by level."""
    vocabulary = production_vocabulary(trees)
    graphs, productions = [], []
    for tree in trees:
        order, gathered = [tree.root], [[]]
        for place, vertex in enumerate(order):
            for child in tree.graph.children[vertex]:
                order.append(child)
                gathered.append([place])
        graphs.append(cavs.InputGraph(gathered))
        own = production_dataset([tree], vocabulary)[0][1]["production"]
        productions.append(own[order])
    return cavs.batch(graphs), np.concatenate(productions)


def test_trees_come_back() -> None:
    trees = generate_listops(50, ListOpsGenerator(0, max_depth=5))
    vocabulary = production_vocabulary(trees)
    graphs, productions = grow_down(trees)
    for tree, found in zip(trees, grown_trees(graphs, productions, vocabulary), strict=True):
        assert found is not None
        assert found.tokens == tree.tokens
        assert found.graph == tree.graph


def test_what_is_not_complete_is_none() -> None:
    vocabulary = production_vocabulary([TREE])
    graphs = cavs.batch([cavs.InputGraph([[], [0]]), cavs.InputGraph([[]])])
    maximum, digit = vocabulary["MAX/3"], vocabulary["2/0"]
    first, second = grown_trees(graphs, np.array([maximum, digit, digit]), vocabulary)
    assert first is None
    assert second is not None
    assert second.tokens == ("2",)
