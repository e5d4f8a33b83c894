"""What a schedule says of runs of children, compared with its lists of edges."""

from typing import Any

import numpy as np

from cavs.scheduler import GraphBatch

__all__ = ["check_runs"]


def check_runs(graphs: GraphBatch, schedule: Any, lists: int = 1) -> None:
    """Runs name the children of the edge rows, wherever those are consecutive in `order`."""
    for number in range(lists):
        edges, runs = schedule.edge_rows(number), schedule.runs(number)
        order, first = runs["order"], runs["first"]
        own = np.repeat(np.arange(graphs.num_graphs), np.diff(runs["graph_ptr"]))
        np.testing.assert_array_equal(own, schedule.graph[order])
        assert (np.diff(schedule.vertex_order[order]) > 0).all()
        place = np.full(graphs.num_vertices, -1)
        place[order] = np.arange(len(order))
        whole = np.ones(graphs.num_graphs, bool)
        for row in range(graphs.num_vertices):
            begin, end = edges["ptr"][row], edges["ptr"][row + 1]
            places = place[edges["child"][begin:end]]
            if begin < end and (np.diff(places) != 1).any():
                assert first[row] == -1
                whole[schedule.graph[row]] = False
            else:
                assert first[row] == (places[0] if begin < end else 0)
        np.testing.assert_array_equal(runs["whole"], whole)
