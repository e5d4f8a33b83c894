"""`cavs.draw`: functions with and without types, graphs with their levels or batches, and what it
refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from svg_boxes import assert_apart, assert_lines_pass_between, boxes, names_and_edges, texts
from typed_models import lattice
from typed_schedules import Case, cases

import cavs
from cavs.errors import CavsRuntimeError, GraphError, InputError, ShapeError
from cavs.pictures.layout import Layout
from cavs.pictures.picture import Picture

C, W = "char", "word"
FIRST = cavs.InputGraph([[], [0], [1], [0], [2, 3]], types=[C, C, C, W, C])
SECOND = cavs.InputGraph([[], [0], [1], [2], [1], [3, 4]], types=[C, C, C, C, W, C])
BATCH = cavs.batch([FIRST, SECOND])


@pytest.fixture(scope="module")
def model() -> cavs.Model:
    return cavs.compile(lattice(), policy="agenda")


def turns(picture: Picture) -> dict[str, str]:
    """The name of the row of each box's label."""
    return {box.label: picture.rows[box.row] for box in picture.boxes.values()}


def lines(picture: Picture) -> set[tuple[str, str]]:
    return {(picture.boxes[a].label, picture.boxes[b].label) for a, b in picture.lines}


def test_a_gather_says_of_which_type_it_reads_and_which_children(model: cavs.Model) -> None:
    picture = cavs.draw(model)
    labels = {box.label: box for box in picture.boxes.values()}
    for label in (
        "gather h\nchar<char, child 0\n4",
        "gather c\nchar<word, all\n4",
        "gather c\nword<any, child 0\n4",
        "pull word\nword",
    ):
        assert label in labels
    of_char = labels["gather c\nchar<word, all\n4"]
    of_word = labels["gather c\nword<any, child 0\n4"]
    meanings = {(key.label, key.outline) for key in picture.keys}
    assert {("char", of_char.outline), ("word", of_word.outline)} <= meanings
    assert of_char.outline != of_word.outline
    colours = {key.label: key.colour for key in picture.keys}
    assert of_char.colour == colours["a row for each edge to a child"]
    assert of_word.colour == colours["a row for each vertex"]


def test_a_function_and_its_model_have_one_picture() -> None:
    function = lattice()
    assert cavs.draw(function).dot() == cavs.draw(cavs.compile(function)).dot()
    asked = cavs.draw(cavs.compile(function, outputs=["logits"])).boxes
    assert "push_logits" in asked
    assert "push_loss" not in asked


def test_a_pull_of_edges_names_their_list() -> None:
    class Reader(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=(v.gather(of="leaf", h=2).h * v.pull_edge("x", 2, of="leaf")).sum())

    class Leaf(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.scatter(h=v.pull("h", 2))

    picture = cavs.draw(cavs.TypedFunction({"reader": Reader(), "leaf": Leaf()}))
    labels = [box.label for box in picture.boxes.values()]
    assert "pull x\nreader<leaf\n2" in labels
    assert "pull h\nleaf\n2" in labels


def test_rows_are_levels_where_no_model_says_more() -> None:
    picture = cavs.draw(BATCH)
    assert turns(picture) == {
        "0:0": "level 0",
        "0:1": "level 1",
        "0:3": "level 1",
        "0:2": "level 2",
        "0:4": "level 3",
        "1:0": "level 0",
        "1:1": "level 1",
        "1:2": "level 2",
        "1:4": "level 2",
        "1:3": "level 3",
        "1:5": "level 4",
    }
    assert [key.label for key in picture.keys] == [C, W]
    colours = {key.label: key.colour for key in picture.keys}
    types = {"0:3": W, "1:4": W}
    for box in picture.boxes.values():
        assert box.colour == colours[types.get(box.label, C)]
        assert box.rounded == box.label.endswith(":0")


def test_each_edge_is_a_line_and_a_label_stands_for_a_number() -> None:
    picture = cavs.draw(FIRST, labels=list("abcde"))
    assert lines(picture) == {("b", "a"), ("c", "b"), ("d", "a"), ("e", "c"), ("e", "d")}


def test_graphs_without_types_have_one_colour_and_no_legend() -> None:
    picture = cavs.draw([cavs.InputGraph([[], [], [1, 0]])])
    assert turns(picture) == {"0": "level 0", "1": "level 0", "2": "level 1"}
    assert len({box.colour for box in picture.boxes.values()}) == 1
    assert not picture.keys
    assert picture.tree
    assert [box.label for box in picture.boxes.values()] == ["2", "1", "0"]  # in reading order


def test_runs_are_drawn_as_their_lists() -> None:
    chain = cavs.InputGraph.chain(3, window=2, memory=1)
    lists = cavs.InputGraph(chain.children)
    assert cavs.draw(chain).dot() == cavs.draw(lists).dot()
    assert lines(cavs.draw(chain)) == {("1", "0"), ("2", "0"), ("2", "1"), ("3", "1"), ("3", "2")}


def test_rows_are_the_batches_of_the_model(model: cavs.Model) -> None:
    picture = cavs.draw(BATCH, model=model)
    schedule = BATCH.schedule("agenda", model._compiler.types.numbers())  # type: ignore[union-attr]
    named = turns(picture)
    number = ["0:0", "0:1", "0:2", "0:3", "0:4", "1:0", "1:1", "1:2", "1:3", "1:4", "1:5"]
    steps = np.searchsorted(schedule.step_ptr, np.arange(schedule.num_batches), "right") - 1
    inside = set()
    for i, (kind, first, last) in enumerate(schedule.batches):
        for vertex in schedule.vertex_order[first:last].tolist():
            assert named[number[vertex]] == f"step {steps[i]}, batch {i}: {(C, W)[kind]}"
            inside.add(vertex)
    assert {named[number[v]] for v in range(11) if v not in inside} == {"before all batches"}
    assert picture.title == (
        f"11 vertices in {schedule.num_batches} batches, {schedule.num_steps} steps, by policy "
        "agenda"
    )


class Token(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(x=v.pull("x", 2))


class Forth(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.gather(0, of="token", x=2).x
        v.scatter(h=x + v.gather(0, of="forth", h=2).h)


class Tag(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.gather(0, of="forth", h=2).h)


class Push(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(x=v.pull("x", 2))


def test_what_need_not_wait_stands_before_or_after_all_batches() -> None:
    function = cavs.TypedFunction({"token": Token(), "forth": Forth(), "tag": Tag()})
    types = ["token", "token", "forth", "forth", "tag", "tag"]
    graph = cavs.InputGraph([[], [], [0], [1, 2], [2], [3]], types=types)
    named = turns(cavs.draw(graph, model=cavs.compile(function)))
    assert named == {
        "0": "before all batches",
        "1": "before all batches",
        "2": "step 0, batch 0: forth",
        "3": "step 1, batch 1: forth",
        "4": "after all batches",
        "5": "after all batches",
    }
    plain = cavs.compile(function, passes=())
    assert set(turns(cavs.draw(graph, model=plain)).values()) >= {"step 0, batch 0: token"}


@pytest.mark.parametrize("policy", ["bound", "depth", "agenda", "serial", min])
def test_a_policy_without_a_model(policy: Any) -> None:
    picture = cavs.draw(BATCH, policy=policy)
    name = "min" if policy is min else policy
    assert picture.title.endswith(f", by policy {name}")
    assert all("batch" in row for row in picture.rows.values())
    vertices = {row: [b for b in picture.boxes.values() if b.row == row] for row in picture.rows}
    for row, name in picture.rows.items():
        assert vertices[row]
        assert len({box.colour for box in vertices[row]}) == 1, name  # of one type
    if policy == "serial":
        assert len(picture.rows) == 11


def test_types_may_be_numbers() -> None:
    graph = cavs.InputGraph([[], [0]], types=[2, 0])
    picture = cavs.draw(graph, policy="bound")
    assert turns(picture) == {"0": "step 0, batch 0: 2", "1": "step 1, batch 1: 0"}
    assert [key.label for key in picture.keys] == ["0", "2"]


def test_types_have_the_colours_of_the_function(model: cavs.Model) -> None:
    function = {key.label: key.outline for key in cavs.draw(model).keys}
    words = cavs.InputGraph([[], [0]], types=[C, W])
    for graph in (words, cavs.InputGraph([[], [0]], types=[0, 1])):
        found = {key.label: key.outline for key in cavs.draw(graph, model=model).keys}
        assert found == {C: function[C], W: function[W]}
    chars = cavs.draw(cavs.InputGraph([[]], types=[C]), model=model).keys
    assert [key.label for key in chars] == [C]


def test_graphs_stand_side_by_side() -> None:
    boxes = cavs.draw([SECOND, FIRST, SECOND]).boxes
    layout = Layout(cavs.draw([SECOND, FIRST, SECOND]))
    for name, box in boxes.items():
        for other, another in boxes.items():
            if box.row == another.row and box.group < another.group:
                assert layout.x[name] < layout.x[other]


def test_a_model_without_types_runs_levels() -> None:
    class Sum(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            h = v.gather(h=()).h.sum() + v.pull("x")
            v.scatter(h=h)
            v.push(h=h)

    assert turns(cavs.draw(BATCH, model=cavs.compile(Sum()))) == turns(cavs.draw(BATCH))


def test_of_more_types_than_colours_each_vertex_says_its_own() -> None:
    names = [f"t{i}" for i in range(12)]
    graph = cavs.InputGraph([[] for _ in names], types=names)
    labels = [box.label for box in cavs.draw(graph).boxes.values()]
    assert labels == [f"{i}\n{name}" for i, name in enumerate(names)]
    function = cavs.TypedFunction({name: Push() for name in names})
    labels = [box.label for box in cavs.draw(function).boxes.values()]
    assert "t3: pull x\nt3\n2" in labels


@given(case=cases())
def test_boxes_of_any_graphs_stand_apart_and_lines_pass_between(
    case: Case, tmp_path_factory: pytest.TempPathFactory
) -> None:
    graphs, _ = case
    path = tmp_path_factory.getbasetemp() / "graphs.svg"
    for policy in (None, "bound"):
        picture = cavs.draw(graphs, policy=policy)
        picture.save(path)
        placed = boxes(path)
        assert len(placed) == graphs.num_vertices
        assert_apart(placed)
        assert_lines_pass_between(path, placed)


def test_a_chain_is_drawn_without_recursion() -> None:
    chain = cavs.InputGraph([[], *([i] for i in range(1999))])
    assert len(cavs.draw(chain).rows) == 2000


def test_no_vertices() -> None:
    for graphs in ([], [cavs.InputGraph([])], cavs.InputGraph([], types=[])):
        assert cavs.draw(graphs).svg().startswith("<svg")
        assert cavs.draw(graphs).dot().startswith("digraph")


def test_files_hold_the_legend_and_what_is_read(tmp_path: Path, model: cavs.Model) -> None:
    picture = cavs.draw(BATCH, model=model, labels=[f"<{i} & {i}>" for i in range(11)])
    picture.save(tmp_path / "a.svg")
    assert {C, W, "<3 & 3>", picture.title, *picture.rows.values()} <= set(
        texts(tmp_path / "a.svg")
    )
    assert picture._repr_svg_() == (tmp_path / "a.svg").read_text()
    picture.save(str(tmp_path / "a.dot"))
    text = (tmp_path / "a.dot").read_text()
    nodes, edges = names_and_edges(text)
    assert {end for edge in edges for end in edge} <= nodes
    assert re.search(r'<TD BGCOLOR="#\w{6}" COLOR="#\w{6}" BORDER="2">.*word', text)
    assert repr(picture) == "<Picture of 11 boxes and 11 lines>"


@pytest.mark.skipif(shutil.which("dot") is None, reason="no Graphviz")
def test_graphviz_takes_them(tmp_path: Path, model: cavs.Model) -> None:
    odd = cavs.draw(FIRST, labels=['"', "<b>", "&", "\\", "é"], model=model)
    for picture in (cavs.draw(model), odd):
        picture.save(tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


NOT = r"^\[draw\] expected a vertex function, a compiled one, or graphs, got "


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        (3, {}, InputError, NOT + "3; pass"),
        ([FIRST, 3], {}, InputError, NOT),
        (lattice, {}, InputError, NOT),
        (cavs.VertexProgram({"a": Push()}), {}, InputError, NOT + ".*; draw its functions one by"),
        (
            cavs.compile(cavs.VertexProgram({"a": Push()})),
            {},
            InputError,
            NOT + ".*; draw its functions one by one$",
        ),
        (lattice(), {"labels": ["a"]}, InputError, "expected labels with graphs alone, got it"),
        (lattice(), {"policy": "depth"}, InputError, "expected policy with graphs alone, got it"),
        (FIRST, {"labels": ["a"]}, ShapeError, "a label for each of the 5 vertices, got 1; give"),
        (FIRST, {"labels": "abcde"}, InputError, "texts in a list as labels, got 'abcde'"),
        (FIRST, {"model": lattice()}, InputError, "a compiled vertex function as model, got"),
        (FIRST, {"policy": "x"}, InputError, "expected policy depth, agenda, bound, serial or"),
        (FIRST, {"policy": lambda: 0}, InputError, r"\[policy\] expected a function of one arg"),
        (
            cavs.InputGraph([[]]),
            {"policy": "bound"},
            InputError,
            "expected graphs with types for a policy, got some without; give them, as in",
        ),
        (
            cavs.InputGraph([[] for _ in range(2001)]),
            {},
            InputError,
            "expected 2,000 vertices or fewer, got 2,001; draw some of the graphs",
        ),
    ],
)
def test_what_cannot_be_drawn(arguments: Any, options: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        cavs.draw(arguments, **options)


def test_graphs_that_the_model_refuses(model: cavs.Model) -> None:
    with pytest.raises(GraphError, match=r"^\[graph\] expected a type for each vertex"):
        cavs.draw(cavs.InputGraph([[]]), model=model)
    with pytest.raises(InputError, match=r"^\[draw\] expected a model or a policy, got both"):
        cavs.draw(FIRST, model=model, policy="depth")


@pytest.mark.parametrize("name", ["a.jpeg", "a", 3, None])
def test_other_files_are_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^\[draw\] expected a file that ends in \.svg, .*, got "):
        cavs.draw(FIRST).save(name)


def test_graphviz_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CavsRuntimeError, match=r"^\[draw\] expected Graphviz, whose program `dot`"):
        cavs.draw(FIRST).save(tmp_path / "a.pdf")


def test_lines_of_a_small_function_do_not_cross() -> None:
    layout = Layout(cavs.draw(cavs.models.LSTM(10, 3, 4, 5)))
    lines = [(layout.y[a], layout.x[a], layout.x[b]) for a, b in layout.lines]
    for row, left, right in lines:
        crossing = [x for x in lines if x[0] == row and (x[1] - left) * (x[2] - right) < 0]
        assert not crossing
