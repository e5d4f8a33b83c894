"""Grids as DAGs."""

import pytest

from cavs.data import grid_graph, pixel_graph
from cavs.errors import InputError


def test_children_are_the_neighbours_before() -> None:
    graph = grid_graph(2, 3)
    assert graph.children == [[], [0], [1], [0], [3, 1, 0], [4, 2, 1]]
    assert graph.num_levels == 4


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (5, 1)])
def test_a_grid_of_one_row_is_a_chain(rows: int, columns: int) -> None:
    assert grid_graph(rows, columns).children == [[], [0], [1], [2], [3]]


def test_grids_of_one_size_are_one_object() -> None:
    assert grid_graph(4, 4) is grid_graph(4, 4)


def test_a_pixel_sees_those_before_it_within_a_kernel() -> None:
    graph = pixel_graph(2, 3, 3)
    assert graph.children == [
        [],
        [-1, -1, -1, 0],
        [-1, -1, -1, 1],
        [-1, 0, 1],
        [0, 1, 2, 3],
        [1, 2, -1, 4],
    ]
    assert pixel_graph(2, 2, 1).children == [[]] * 4
    assert pixel_graph(4, 4, 5) is pixel_graph(4, 4, 5)
    with pytest.raises(InputError, match=r"expected an odd kernel_size, .* got 4; add 1"):
        pixel_graph(2, 2, 4)
