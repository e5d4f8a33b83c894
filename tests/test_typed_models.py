"""A compiled function of types has all that a model has."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typed_models import GRAPHS, HIDDEN, Char, Word, lattice, lattice_inputs

import cavs
from cavs import VertexFunction, nn, ops
from cavs.errors import CavsError, GraphError, InputError, ShapeError, TraceError

X = lattice_inputs()


@pytest.fixture
def model() -> cavs.Model:
    cavs.manual_seed(1)
    return cavs.compile(lattice())


def loss_of(model: cavs.Model) -> float:
    return float(model(GRAPHS, **X)["loss"].sum().item())


def test_rows_of_inputs_and_outputs_are_those_of_their_types(model: cavs.Model) -> None:
    outputs = model(GRAPHS, **X)
    assert GRAPHS.vertices("char").tolist() == [0, 1, 3, 4, 5, 6, 7, 9]
    assert {name: y.shape for name, y in outputs.items()} == {"logits": (8, 3), "loss": (8,)}
    one = GRAPHS.vertices("char").tolist().index(9)
    alone = cavs.batch([cavs.unbatch(GRAPHS)[1]], keys=[1])
    inputs = {name: x[-len(alone.vertices("char")) :] for name, x in X.items() if name != "word"}
    again = model(alone, word=X["word"][-1:], **inputs)
    np.testing.assert_array_equal(again["logits"].data[-1], outputs["logits"].data[one])


def test_types_may_be_numbers_in_the_order_of_the_function(model: cavs.Model) -> None:
    number = {"char": 0, "word": 1}
    graphs = [
        cavs.InputGraph(g.children, types=[number[str(t)] for t in g.types or ()])
        for g in cavs.unbatch(GRAPHS)
    ]
    named, numbered = model(GRAPHS, **X), model(graphs, **X)
    np.testing.assert_array_equal(named["logits"].data, numbered["logits"].data)


def test_paths_of_parameters_begin_with_the_type_and_shared_ones_come_once() -> None:
    names = [name for name, _ in cavs.compile(lattice()).named_parameters()]
    assert names[0] == "char.embedding.weight"
    assert names[-2:] == ["word.w.weight", "word.w.bias"]
    assert sum("embedding" in name for name in names) == 1


def test_a_step_is_that_of_the_separate_calls(model: cavs.Model) -> None:
    other = copy.deepcopy(model)
    optimizer = cavs.optim.Adam(model.named_parameters(), 0.1)
    by_parts = cavs.optim.Adam(other.named_parameters(), 0.1)
    for _ in range(3):
        model.step(GRAPHS, optimizer, **X)
        loss = other(GRAPHS, **X)["loss"].sum()
        by_parts.zero_grad()
        loss.backward()
        by_parts.step()
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data, err_msg=name)


def test_training_lowers_the_loss(model: cavs.Model) -> None:
    optimizer = cavs.optim.Adam(model.named_parameters(), 0.05)
    losses = [model.step(GRAPHS, optimizer, **X).item() for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]


def test_reports_name_types_and_count_batches(model: cavs.Model) -> None:
    profile = model.explain(GRAPHS, repeats=1, **X)
    assert (profile.num_batches, profile.num_steps) == (5, 5)
    assert "5 batches, 5 steps" in str(profile)
    text = model.explain()
    assert "inner:word[4]" in text
    assert "@char<word]" in text
    assert "vertex:char[3] (output logits)" in model.program
    summary = model.summary(GRAPHS, **X)
    assert "word int32 (vertices of word)" in summary
    assert "h (vertices of char, 4)" in summary
    assert "[slot:0@word]" in model.program


@pytest.mark.parametrize("gradients", [False, True])
def test_memory_is_known_before_a_run(model: cavs.Model, gradients: bool) -> None:
    planned = model.memory(GRAPHS, gradients=gradients, **X)
    by_ids = model.memory(GRAPHS, gradients=gradients)
    assert 0 < planned <= by_ids < 2 * planned


def test_values_are_of_the_function_of_the_vertex(model: cavs.Model) -> None:
    of_word = model.values(GRAPHS, vertex=(0, 2), **X)
    assert of_word.children == (0,)
    assert {x.name for x in of_word if x.op == "pull"} == {"word"}
    of_char = model.values(GRAPHS, vertex=(0, 3), **X)
    words = next(x for x in of_char if x.op == "gather" and x.space == "edge")
    assert words.value.shape == (1, HIDDEN)


def test_some_outputs_need_fewer_inputs(model: cavs.Model) -> None:
    inputs = {name: x for name, x in X.items() if name != "label"}
    logits = model(GRAPHS, outputs="logits", **inputs)["logits"]
    np.testing.assert_array_equal(logits.data, model(GRAPHS, **X)["logits"].data)


def test_a_run_may_be_kept_for_a_second_backward(model: cavs.Model) -> None:
    loss = model(GRAPHS, **X)["loss"].sum()
    loss.backward(retain_graph=True)
    first = [np.array(p.grad) for p in model.parameters() if p.grad is not None and p.ndim == 1]
    for parameter in model.parameters():
        parameter.zero_grad()
    loss.backward()
    again = [np.array(p.grad) for p in model.parameters() if p.grad is not None and p.ndim == 1]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("value", "backward"), [(np.nan, False), (np.inf, True)])
def test_what_is_not_finite_is_found_in_its_type(
    model: cavs.Model, value: float, backward: bool
) -> None:
    dict(model.named_parameters())["word.w.weight"].data[0, 0] = value

    def step() -> None:
        loss = model(GRAPHS, **X)["loss"].sum()
        if backward:
            loss.backward()

    with (
        pytest.raises(cavs.NonFiniteError, match=r"'word\.w\.weight' is (nan|inf)"),
        cavs.detect_nonfinite(),
    ):
        step()


def test_copies_and_files_give_the_same(model: cavs.Model, tmp_path: Path) -> None:
    loss = loss_of(model)
    assert loss_of(copy.deepcopy(model)) == loss
    assert loss_of(pickle.loads(pickle.dumps(model))) == loss
    cavs.save(model, tmp_path / "model.safetensors")
    loaded = cavs.load(tmp_path / "model.safetensors", trust=("typed_models",))
    assert isinstance(loaded, cavs.Model)
    assert loss_of(loaded) == loss
    state = model.state_dict()
    other = cavs.compile(lattice())
    other.load_state_dict(state)
    assert loss_of(other) == loss


def test_values_of_graphs_are_read_out(model: cavs.Model) -> None:
    logits = model(GRAPHS, **X)["logits"]
    assert logits.shape[0] == len(GRAPHS.vertices("char"))


def test_a_program_may_have_functions_of_types() -> None:
    program = cavs.compile(cavs.VertexProgram({"a": lattice(), "b": lattice()}))
    assert "a.char.w.weight" in [name for name, _ in program.named_parameters()]
    assert program["a"](GRAPHS, **X)["loss"].shape == (8,)


@pytest.mark.gpu
def test_a_gpu_trains_it() -> None:
    cavs.manual_seed(1)
    model = cavs.compile(lattice(), device="cuda")
    optimizer = cavs.optim.SGD(model.named_parameters(), 0.1)
    losses = [model.step(GRAPHS, optimizer, **X).item() for _ in range(3)]
    cavs.manual_seed(1)
    other = cavs.compile(lattice())
    optimizer = cavs.optim.SGD(other.named_parameters(), 0.1)
    assert losses == pytest.approx([other.step(GRAPHS, optimizer, **X).item() for _ in range(3)])


# Bad use


class Plain(VertexFunction):
    """A type that scatters `h` of a size, and gathers what it is told to."""

    def __init__(self, size: int = 3, **gather: Any) -> None:
        self.size, self.gather = size, gather
        self.w = nn.Linear(self.size, self.size)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.size)
        if self.gather:
            slot = self.gather.get("slot")
            states = {k: n for k, n in self.gather.items() if k not in ("slot", "of")}
            found = vars(v.gather(slot, of=self.gather.get("of"), **states))
            for y in found.values():
                x = x + ops.sum(y.sum() if slot is None else y)
        h = self.w(x)
        v.scatter(h=h)
        v.push(y=h)


class Other(VertexFunction):
    """A type that scatters `c` alone."""

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(c=v.pull("x", 3))


def refused(functions: dict[str, VertexFunction], match: str, error: type[CavsError]) -> None:
    with pytest.raises(error, match=match) as caught:
        cavs.compile(cavs.TypedFunction(functions))
    assert "\n" not in str(caught.value)


def test_functions_that_do_not_fit_are_refused() -> None:
    line = r"test_typed_models\.py:\d+"
    refused(
        {"a": Plain(of="c", h=3)},
        rf"\[gather\] expected of= among the types \['a'\], got 'c', at \S*{line}",
        TraceError,
    )
    refused(
        {"a": Plain(s=3)},
        rf"\[scatter\] expected state 's', gathered at \S*{line} .*, among the states that a type "
        r"scatters, got \['h'\]; scatter it too$",
        TraceError,
    )
    refused(
        {"a": Plain(of="b", c=3), "b": Plain(), "c": Other()},
        rf"state 'c', gathered at \S*{line} .*, among the states that type 'b' scatters, "
        r"got \['h'\]; scatter it too, or gather it of 'c'$",
        TraceError,
    )
    refused(
        {"a": Plain(3), "b": Plain(4)},
        rf"\[scatter\] expected state 'h' of one shape, \(3,\), as at \S*{line} .*got \(4,\)",
        ShapeError,
    )
    refused(
        {"a": Plain(h=2)},
        r"\[scatter\] expected state 'h' of shape \(2,\), as gathered at",
        ShapeError,
    )


def test_what_is_no_set_of_functions_is_refused() -> None:
    for given, match in (
        ({}, r"\[types\] expected a vertex function or more, got none"),
        ({"a": nn.Linear(2, 2)}, r"\[types\] expected a cavs.VertexFunction as 'a'"),
        ({"a b": Plain()}, r"\[types\] expected types by names that are identifiers"),
        ({"a": lattice()}, r"\[types\] expected the function of one type as 'a', got one of"),
    ):
        with pytest.raises(TraceError, match=match):
            cavs.TypedFunction(given)  # type: ignore[arg-type]


def test_edges_of_several_lists_are_not_combined() -> None:
    class Mixed(VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            a, b = v.gather(of="a", h=3), v.gather(h=3)
            v.scatter(h=v.pull("x", 3))
            v.push(y=(a.h * b.h).sum())

    with pytest.raises(
        TraceError,
        match=r"same rows, got edge:a<a, edge:a, at .*reduce values per child over the children "
        r"first, each by itself, or gather and pull them for children of one type, by of=$",
    ):
        cavs.compile(cavs.TypedFunction({"a": Mixed()}))


def test_of_is_for_functions_of_types() -> None:
    class Alone(VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.gather(of="a", h=3).h.sum())

    with pytest.raises(TraceError, match=r"\[gather\] expected of= in a function of types alone"):
        cavs.compile(Alone())


@pytest.mark.parametrize(
    ("graph", "match"),
    [
        (cavs.InputGraph([[], [0]]), r"expected a type for each vertex \(char, word\), got graphs"),
        (
            cavs.InputGraph([[], [0]], types=["char", "verb"]),
            r"graph 0, vertex 1: expected a type among char, word, got 'verb'",
        ),
        (
            cavs.InputGraph([[], [0]], types=[0, 2]),
            r"graph 0, vertex 1: expected a type among char, word, got 2",
        ),
        (
            cavs.InputGraph([[], [0], [0, 1]], types=["char"] * 3),
            r"graph 0, vertex 2 of type 'char': expected children that its function gathers, "
            r"char<char at 0, char<word, got child 1 of type 'char'",
        ),
        (
            cavs.InputGraph([[], [0], [1]], types=["char", "word", "word"]),
            r"graph 0, vertex 2 of type 'word': expected children that scatter h, c, which is "
            r"gathered at \S*typed_models\.py:\d+ .*, got child 1 of type 'word'",
        ),
    ],
)
def test_graphs_that_do_not_fit_are_refused(
    model: cavs.Model, graph: cavs.InputGraph, match: str
) -> None:
    count = [t for t in graph.types or ["char"] * 2 if t in ("char", 0)]
    inputs = {"character": np.zeros(len(count), np.int32), "label": np.zeros(len(count), np.int32)}
    with pytest.raises(GraphError, match=match) as caught:
        model(graph, word=np.zeros(1, np.int32), **inputs)
    assert str(caught.value).startswith("[graph] ")


class Alone(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x", shape=(1,)))


def test_a_type_that_reads_no_children_refuses_each() -> None:
    model = cavs.compile(cavs.TypedFunction({"a": Alone(), "b": Alone()}))
    graph = cavs.InputGraph([[], [0]], types=[1, 0])
    match = r"vertex 1 of type 0: expected no children, got child 0 of type 1; gather it, leave it"
    with pytest.raises(GraphError, match=match):
        model(graph, x=np.zeros((2, 1)))


def test_a_policy_of_the_users_is_not_saved(tmp_path: Path) -> None:
    model = cavs.compile(lattice(), policy=lambda ready: min(ready))
    match = r"\[save\] expected a policy by name, or one that was learned, got function; compile"
    with pytest.raises(cavs.InputError, match=match):
        cavs.save(model, tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


class Lookup(cavs.VertexFunction):
    def __init__(self, count: int) -> None:
        self.table = nn.Embedding(count, 3)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(loss=self.table(v.pull("id", dtype="int32")).sum())


def test_ids_are_those_of_the_table_of_their_type() -> None:
    model = cavs.compile(cavs.TypedFunction({"a": Lookup(20), "b": Lookup(5)}))
    graph = cavs.InputGraph([[], [], []], types=["a", "b", "a"])
    assert model(graph, id=[19, 4, 0])["loss"].shape == (3,)
    for ids, most, vertex in [([0, 5, 0], 4, 1), ([0, 0, 20], 19, 2)]:
        match = rf"expected ids in -1..{most} for 'id'.* got {max(ids)} at graph 0, vertex {vertex}"
        with pytest.raises(cavs.InputError, match=match):
            model(graph, id=ids)


class Ignoring(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.pull("id", dtype="int32")
        v.push(loss=v.pull("x", shape=()))


@pytest.mark.parametrize("wrong", [-2, 2**32 + 3])
def test_ids_that_a_type_does_not_look_up_are_ids_all_the_same(wrong: int) -> None:
    model = cavs.compile(cavs.TypedFunction({"a": Lookup(20), "b": Ignoring()}))
    graph = cavs.InputGraph([[], []], types=["a", "b"])
    assert model(graph, id=[19, 7], x=[1.0])["loss"].shape == (2,)
    with pytest.raises(cavs.InputError, match=rf"got {wrong} at graph 0, vertex 1"):
        model(graph, id=[0, wrong], x=[1.0])


class Both(cavs.VertexFunction):
    """Gathers two states, of which each type scatters one: no child has both."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.product = nn.Linear(size, 2)

    def forward(self, v: cavs.Vertex) -> None:
        found = v.gather(h=(self.size,), c=(self.size,))
        v.scatter(h=v.pull("x", shape=(self.size,)))
        v.push(y=self.product(found.h + found.c).sum())


class Half(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(c=v.pull("x", shape=(32,)))


def test_states_that_no_child_has_together_are_zeros() -> None:
    model = cavs.compile(cavs.TypedFunction({"a": Both(32), "b": Half()}))
    graph = cavs.InputGraph([[], []], types=["a", "b"])
    assert not model(graph, x=np.ones((2, 32)))["y"].numpy().any()
    with pytest.raises(GraphError, match=r"vertex 1 of type 'a': expected children that scatter h"):
        model(cavs.InputGraph([[], [0]], types=["b", "a"]), x=np.ones((2, 32)))


def test_a_number_is_no_input_of_vertices() -> None:
    model = cavs.compile(cavs.TypedFunction({"a": Alone()}))
    with pytest.raises(ShapeError, match=r"a row per vertex of type 'a', for 'x', got shape \(\)"):
        model(cavs.InputGraph([[]], types=["a"]), x=np.float32(3))


def test_a_function_keeps_its_name() -> None:
    functions = lattice()
    with pytest.raises(cavs.TraceError, match=r"expected 'char' to stay the function of this type"):
        functions.char = Alone()


def test_children_that_nothing_reads_may_be_ignored() -> None:
    model = cavs.compile(lattice(), extra_children="ignore")
    graph = cavs.InputGraph([[], [0], [0, 1]], types=["char"] * 3)
    inputs = {"character": np.zeros(3, np.int32), "label": np.zeros(3, np.int32)}
    assert model(graph, word=np.zeros(0, np.int32), **inputs)["loss"].shape == (3,)


def test_an_input_has_rows_of_its_types_alone(model: cavs.Model) -> None:
    everywhere = np.zeros(GRAPHS.num_vertices, np.int32)
    message = (
        r"\[input\] expected int32 of shape \(2,\), a row per vertex of type 'word', for 'word', "
        r"got shape \(10,\); pass the rows of these vertices, x\[graphs.vertices\('word'\)\]"
    )
    with pytest.raises(ShapeError, match=message):
        model(GRAPHS, **{**X, "word": everywhere})
    with pytest.raises(InputError, match=r"expected ids in -1..5 .* got 9 at graph 1, vertex 2"):
        model(GRAPHS, **{**X, "word": np.array([0, 9], np.int32)})

    class Untyped(VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x"))

    with pytest.raises(ShapeError, match=r"a row per vertex, for 'x', got shape \(2,\)"):
        cavs.compile(Untyped())(GRAPHS, x=np.zeros(2, np.float32))


@pytest.mark.parametrize("name", ["word", None, 3])
def test_a_policy_names_a_type_that_is_ready(name: Any) -> None:
    model = cavs.compile(lattice(), policy=lambda ready: name)
    with pytest.raises(
        InputError, match=r"\[policy\] expected one of the types with ready .*'char'"
    ):
        model(GRAPHS, **X)


def test_policies_have_names() -> None:
    with pytest.raises(InputError, match=re.escape("expected policy depth, agenda, bound, serial")):
        cavs.compile(lattice(), policy="best")
    batches = {
        policy: cavs.compile(lattice(), policy=policy).explain(GRAPHS, repeats=1, **X).num_batches
        for policy in ("depth", "batching", "agenda", "bound", "serial")
    }
    assert batches["depth"] == batches["batching"]
    assert batches["bound"] == 5
    assert batches["serial"] == GRAPHS.num_vertices


def test_words_alone_are_a_function_too() -> None:
    embedding = nn.Embedding(6, 3)
    model = cavs.compile(cavs.TypedFunction({"char": Char(embedding), "word": Word(embedding)}))
    empty = cavs.batch([])
    inputs = {name: np.zeros(0, np.int32) for name in X}
    assert model(empty, **inputs)["logits"].shape == (0, 3)
