"""Random operations: distributions of their samples, and what these depend on."""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled
from strategies import batches

import cavs
from cavs import data, nn, ops
from cavs._seed import set_default_seed
from cavs.core.attributes import UniformAttributes
from cavs.core.compiler import Compiler
from cavs.core.passes import PASSES
from cavs.core.program import Instruction
from cavs.errors import CavsError, InputError, TraceError
from cavs.execution.native import NativeExecutor

COUNT = 40_000


class Draws(cavs.VertexFunction):
    """Pushes what `draw` makes of the vertex."""

    def __init__(self, draw: Callable[[cavs.Vertex], Any]) -> None:
        self._draw = draw

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self._draw(v))


def draw(make: Callable[[cavs.Vertex], Any], **inputs: Any) -> np.ndarray:
    """One sample on each of many vertices."""
    model = cavs.compile(Draws(make))
    graphs = cavs.batch([cavs.InputGraph([[]] * COUNT)])
    values: np.ndarray = model(graphs, **inputs)["y"].data
    return values


def test_uniform_numbers() -> None:
    u = draw(lambda v: v.uniform(3))
    assert u.shape == (COUNT, 3)
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_allclose(u.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(u.var(axis=0), 1 / 12, atol=0.003)
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.02


def test_normal_numbers() -> None:
    z = draw(lambda v: v.normal(2)).astype(np.float64)
    assert np.isfinite(z).all()
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        np.testing.assert_allclose((z**power).mean(axis=0), moment, atol=0.03 * (1 + power))
    shifted = draw(lambda v: ops.normal(v.pull("mean"), 0.5), mean=np.full(COUNT, 3.0, np.float32))
    assert shifted.mean() == pytest.approx(3, abs=0.01)
    assert shifted.std() == pytest.approx(0.5, abs=0.01)


def test_bernoulli() -> None:
    p = np.repeat(np.float32([0, 0.2, 0.9, 1]), COUNT // 4)
    x = draw(lambda v: ops.bernoulli(v.pull("p")), p=p)
    assert set(np.unique(x)) == {0, 1}
    np.testing.assert_allclose(x.reshape(4, -1).mean(axis=1), [0, 0.2, 0.9, 1], atol=0.01)


@pytest.mark.parametrize(
    "sample",
    [
        ops.categorical,
        lambda logits: ops.one_hot_max(ops.gumbel_softmax(logits, 0.5)),
        lambda logits: ops.gumbel_softmax(logits, 2.0, hard=True),
    ],
)
def test_one_of_several(sample: Callable[[Any], Any]) -> None:
    p = np.array([0.1, 0.6, 0.3], np.float32)
    logits = np.tile(np.log(p), (COUNT, 1))
    x = draw(lambda v: sample(v.pull("logits", 3)), logits=logits)
    np.testing.assert_allclose(x.sum(axis=1), 1, atol=1e-6)
    assert set(np.unique(np.round(x, 5))) == {0, 1}
    np.testing.assert_allclose(x.mean(axis=0), p, atol=0.01)


@pytest.mark.parametrize(
    "sample", [ops.categorical, lambda logits: ops.gumbel_softmax(logits, 2.0, hard=True)]
)
def test_what_is_impossible_is_never_drawn(sample: Callable[[Any], Any]) -> None:
    inf = np.inf
    expected = {
        (0.0, -inf, 0.0): [0.5, 0, 0.5],
        (-inf, -inf, -80.0): [0, 0, 1],
        (-inf, -inf, -inf): [0, 0, 0],
        (inf, 3.0, inf): [0.5, 0, 0.5],  # what is infinitely likelier than all others
        (inf, -inf, 1e30): [1, 0, 0],
    }
    for logits, p in expected.items():
        rows = np.tile(np.float32(logits), (COUNT, 1))
        x = draw(lambda v: sample(v.pull("logits", 3)), logits=rows)
        np.testing.assert_allclose(x.sum(axis=1), sum(p), atol=1e-6)
        np.testing.assert_allclose(x.mean(axis=0), p, atol=0.01)
        np.testing.assert_array_equal(x[:, np.equal(p, 0)], 0)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature: float) -> None:
    with pytest.raises(InputError, match=r"\[gumbel_softmax\] expected a finite temperature > 0"):
        draw(lambda v: ops.gumbel_softmax(v.uniform(3), temperature))


def test_tensors_have_a_generator() -> None:
    with pytest.raises(TraceError, match=r"\[uniform\].*cavs\.Generator"):
        ops.normal(cavs.Tensor([1.0]), 1.0)


def test_samples_need_rows() -> None:
    with pytest.raises(cavs.errors.ShapeError, match=r"\[uniform\].*without rows"):
        draw(lambda v: v.uniform(3) + ops.bernoulli(cavs.Parameter(np.full(3, 0.5, np.float32))))


@pytest.fixture
def threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_samples_are_the_same_bits_however_graphs_are_batched() -> None:
    rng = np.random.default_rng(0)
    graphs = [cavs.InputGraph([[], [], [0, 1], [2, 0, 2]][:n]) for n in (4, 1, 3, 4, 2)]
    keys = np.array([7, 3, 2**40, 9, 1], np.int64)
    inputs = {
        "x": rng.normal(size=(14, 3)),
        "style": rng.normal(size=(5, 3)),
        "word": rng.integers(-1, 5, size=14).astype(np.int32),
    }

    def run(order: list[int], **options: Any) -> list[dict[str, np.ndarray]]:
        """Outputs by graph: rows of vertices, since edges' follow from them."""
        model = compiled("Samples", **options)
        model.set_random_state({"seed": 5, "step": 2**33 + 1})
        batch = cavs.batch([graphs[i] for i in order], keys=keys[order])
        ptr = np.cumsum([0, *(g.num_vertices for g in graphs)])
        rows = np.concatenate([np.arange(ptr[i], ptr[i + 1]) for i in order])
        given = {
            "x": inputs["x"][rows],
            "word": inputs["word"][rows],
            "style": inputs["style"][order],
        }
        out = model(batch, **given)
        return [
            {k: y.data[a:b] for k, y in out.items() if k != "kept"}
            for a, b in zip(batch.ptr[:-1], batch.ptr[1:], strict=True)
        ]

    # Uniform numbers are the same bits everywhere; what is computed from them is within one way of
    # computing, whatever the batch.
    expected = run([0, 1, 2, 3, 4])
    for count in (1, 3):
        cavs.set_num_threads(count)
        for passes in ((), PASSES):
            for policy in ("serial", "batching"):
                for order in ([4, 2, 0, 1, 3], [2]):
                    for i, out in zip(order, run(order, passes=passes, policy=policy), strict=True):
                        np.testing.assert_array_equal(out["u"], expected[i]["u"])
                        np.testing.assert_array_equal(out["chosen"], expected[i]["chosen"])
                        for name, y in out.items():
                            np.testing.assert_allclose(y, expected[i][name], rtol=1e-12, atol=1e-12)


def test_each_call_draws_anew_and_a_state_repeats_it() -> None:
    model = cavs.compile(Draws(lambda v: v.uniform(4)))
    graph = cavs.InputGraph([[]])
    for mode in (model.train(), model.eval()):
        state = mode.random_state()
        first, second = mode(graph)["y"].data, mode(graph)["y"].data
        assert (first != second).all()
        mode.set_random_state(state)
        np.testing.assert_array_equal(mode(graph)["y"].data, first)
        with cavs.no_grad():
            assert (mode(graph)["y"].data == second).all()


def test_dropout_alone_draws_nothing_in_evaluation() -> None:
    model = cavs.compile(Draws(lambda v: ops.dropout(v.pull("x"), 0.5))).eval()
    before = model.random_state()
    model(cavs.InputGraph([[]]), x=np.ones(1, np.float32))
    assert model.random_state() == before


class MasksById(cavs.VertexFunction):
    """What dropout by id keeps of ones, for words, for pairs and for triples of ids."""

    def __init__(self) -> None:
        self.table = nn.Embedding(6, 11)
        self.table.weight.data[...] = 1.0

    def forward(self, v: cavs.Vertex) -> None:
        # What is zero for the id -1 is made 1 there.
        word, tag = (
            ops.square(self.table(v.pull(k, dtype="int32")) - 0.5) * 4.0 for k in ("word", "tag")
        )
        topic = ops.square(self.table(v.pull_graph("topic", dtype="int32")) - 0.5) * 4.0
        relation = ops.square(self.table(v.pull_edge("relation", dtype="int32")) - 0.5) * 4.0
        drop = nn.Dropout(0.5, by="id")
        masks = {"word": drop(word), "again": drop(word), "pair": drop(word * tag)}
        masks |= {"three": drop(topic * tag * word), "edge": drop(relation), "topic": drop(topic)}
        masks["edge_word"] = drop(relation * word)
        h = v.gather(h=11).h
        v.scatter(h=masks["word"])
        v.push(**masks, sum=(h * masks["edge_word"]).sum())


def ids_for(graphs: cavs.GraphBatch, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = {
        "word": graphs.num_vertices,
        "tag": graphs.num_vertices,
        "topic": graphs.num_graphs,
        "relation": graphs.num_edges,
    }
    return {k: rng.integers(-1, 6, n).astype(np.int32) for k, n in rows.items()}


def masks_of(graphs: cavs.GraphBatch, ids: dict[str, Any], **options: Any) -> dict[str, Any]:
    model = cavs.compile(MasksById(), **options)
    model.set_random_state({"seed": 11, "step": 2**33 + 5})
    return {k: y.data for k, y in model(graphs, **ids).items()}


@pytest.mark.usefixtures("threads")
@settings(max_examples=15)
@given(graphs=batches(), data=st.data())
def test_dropout_by_id_is_the_same_bits_everywhere(
    graphs: cavs.GraphBatch, data: st.DataObject
) -> None:
    """For each graph alone, whatever its key, with passes or without, in any order."""
    ids = ids_for(graphs)
    expected = masks_of(graphs, ids, executor="reference")
    cavs.set_num_threads(data.draw(st.sampled_from([1, 3])))
    for passes in ((), PASSES, data.draw(st.lists(st.sampled_from(PASSES), unique=True))):
        for policy in ("serial", "batching"):
            found = masks_of(graphs, ids, passes=passes, policy=policy)
            for name, mask in found.items():
                np.testing.assert_array_equal(mask, expected[name], err_msg=name)
    for g, graph in enumerate(cavs.unbatch(graphs)):
        rows = {"topic": slice(g, g + 1), "relation": slice(*graphs.edge_ptr[g : g + 2])}
        vertices = slice(*graphs.ptr[g : g + 2])
        own = {k: x[rows.get(k, vertices)] for k, x in ids.items()}
        alone = masks_of(cavs.batch([graph], keys=[1000 + g]), own)
        for name, mask in alone.items():
            where = rows["relation"] if name.startswith("edge") else vertices
            np.testing.assert_array_equal(mask, expected[name][where], err_msg=name)


def test_a_mask_belongs_to_an_id_and_to_a_tuple_of_ids() -> None:
    graphs = cavs.batch([cavs.InputGraph([[]] * 150) for _ in range(3)])
    ids = ids_for(graphs)
    masks = masks_of(graphs, ids)
    topic = np.repeat(ids["topic"], 150)
    tuples = {
        "word": (ids["word"],),
        "again": (ids["word"],),
        "pair": (ids["tag"], ids["word"]),
        "three": (ids["tag"], topic, ids["word"]),
        "topic": (topic,),
    }
    for name, columns in tuples.items():
        distinct, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        rows = np.unique(np.column_stack([inverse.reshape(-1), masks[name]]), axis=0)
        assert len(rows) == len(distinct)  # one mask for each,
        if name != "topic":  # and nearly always another
            assert len(np.unique(rows[:, 1:], axis=0)) > 0.8 * len(distinct), name
        assert set(np.unique(masks[name])) == {0.0, 2.0}
        assert 0.35 < (masks[name] == 0).mean() < 0.65
    assert (masks["word"] != masks["again"]).any()  # operations draw for themselves


def test_each_training_call_draws_by_id_anew() -> None:
    """Without gradients too, where results by id are kept in evaluation."""
    graphs = cavs.batch([cavs.InputGraph([[], [0], [0, 1]])])
    ids = ids_for(graphs)
    model = cavs.compile(MasksById(), outputs=["word"], seed=3)
    given = {"word": ids["word"]}
    with cavs.no_grad():
        first, second = model(graphs, **given)["word"].data, model(graphs, **given)["word"].data
        assert (first != second).any()
        model.eval()
        for _ in range(2):
            assert (model(graphs, **given)["word"].data == 1).all()
        model.train().set_random_state({"seed": 3, "step": 0})
        np.testing.assert_array_equal(model(graphs, **given)["word"].data, first)
    model.set_random_state({"seed": 3, "step": 1})
    np.testing.assert_array_equal(model(graphs, **given)["word"].data, second)


def test_functions_of_a_program_draw_by_id_for_themselves() -> None:
    program = cavs.compile(cavs.VertexProgram({"a": MasksById(), "b": MasksById()}), seed=4)
    graphs = cavs.batch([cavs.InputGraph([[]] * 9)])
    ids = ids_for(graphs)
    one, other = (program[name](graphs, **ids)["word"].data for name in "ab")
    assert (one != other).any()


def test_programs_of_wrong_ids_are_refused() -> None:
    """The native engine looks at operands before it runs anything."""

    compiler = Compiler(MasksById(), ())
    program = compiler.inference()

    def load(change: Callable[[Instruction], Instruction]) -> None:
        segments = [
            replace(
                segment,
                instructions=tuple(
                    change(i) if i.kernel == "dropout_by_id" else i for i in segment.instructions
                ),
            )
            for segment in program.segments
        ]
        changed = replace(program, segments=tuple(segments))
        NativeExecutor(compiler, "float32", "batching").load(changed)

    load(lambda i: i)
    wrong: list[tuple[Callable[[Instruction], Instruction], str]] = [
        (
            lambda i: replace(i, inputs=i.inputs[:1], tables=i.tables[:1]),
            "2 or more inputs and one output",
        ),
        (lambda i: replace(i, inputs=(i.inputs[0],) * 2), "one int32 per row as id"),
        (lambda i: replace(i, inputs=(i.inputs[1],) * 2), "floating-point values"),
        (lambda i: replace(i, attributes=None), "attribute 'key'"),
        (lambda i: replace(i, attributes=UniformAttributes(1)), "attribute 'rate'"),
    ]
    for change, message in wrong:
        with pytest.raises(CavsError, match=message):
            load(change)


# --- One seed for all


@pytest.fixture
def seeds() -> Iterator[None]:
    yield
    set_default_seed(0)
    nn.init.manual_seed(0)


class Noisy(cavs.VertexFunction):
    def __init__(self) -> None:
        self.layer = nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=ops.dropout(self.layer(v.pull("x", 3)), 0.5), noise=v.uniform(2))


def everything(**seed: int) -> list[Any]:
    """What is drawn where nothing, or one seed, is said."""
    model = cavs.compile(Noisy(), **seed)
    program = cavs.compile(cavs.VertexProgram({"f": Noisy()}), **seed)
    corpus = data.Dataset([cavs.InputGraph([[]])] * 9, vertex={"x": np.arange(9)})
    loader = data.Loader(corpus, 9, shuffle=True, **seed)
    x = np.ones((1, 3), np.float32)
    return [
        *(array.tobytes() for array in model.state_dict().values()),
        *(y.data.tobytes() for y in model(cavs.InputGraph([[]]), x=x).values()),
        *(y.data.tobytes() for y in program["f"](cavs.InputGraph([[]]), x=x).values()),
        (model.random_state(), program.random_state()),
        cavs.Generator(**seed).normal((2, 2)).data.tobytes(),
        next(iter(loader))[1]["x"].tobytes(),
        loader.state_dict()["seed"],
        list(data.WeightedSampler([1.0] * 9, **seed).order(0)),
        [data.format_listops(tree) for tree in data.listops_corpus(3, 1, 1, **seed).train],
        cavs.training.TrainingConfig(**seed).seed,
    ]


@pytest.mark.usefixtures("seeds")
def test_a_manual_seed_is_that_of_all_that_have_none_of_their_own() -> None:
    nn.init.manual_seed(0)
    unseeded = everything()
    for seed in (0, 7, 2**64 - 1):
        nn.init.manual_seed(seed)
        seeded = everything(seed=seed)
        nn.init.manual_seed(99)
        cavs.manual_seed(seed)
        assert everything() == seeded
        cavs.manual_seed(np.uint64(seed))
        assert everything() == seeded
        assert (seeded == unseeded) == (seed == 0)
    own = cavs.compile(Noisy(), seed=5)
    assert own.random_state()["seed"] == 5
    assert cavs.compile(Noisy(), seed=0).random_state()["seed"] == 0


@pytest.mark.usefixtures("seeds")
def test_a_manual_seed_leaves_alone_what_is_there() -> None:
    model, generator = cavs.compile(Noisy(), seed=3), cavs.Generator()
    loader = data.Loader(data.Dataset([cavs.InputGraph([[]])]), 1)
    cavs.manual_seed(8)
    assert model.random_state() == {"seed": 3, "step": 0}
    assert generator.state()["seed"] == 0
    assert loader.state_dict()["seed"] == 0
    assert copy.deepcopy(model).random_state()["seed"] == 3


@pytest.mark.usefixtures("seeds")
def test_a_wrong_seed_changes_nothing() -> None:
    cavs.manual_seed(4)
    before = nn.init.get_state()
    for wrong in (-1, 2**64, 1.0, "1", None, True):
        with pytest.raises(cavs.InputError, match=r"^\[random\] expected an integer"):
            cavs.manual_seed(wrong)  # type: ignore[arg-type]
    assert nn.init.get_state() == before
    assert cavs.Generator().seed == 4


@pytest.mark.usefixtures("seeds")
def test_a_seed_holds_for_all_threads() -> None:
    cavs.manual_seed(6)
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(lambda: cavs.Generator().seed).result() == 6
        list(pool.map(cavs.manual_seed, range(20)))
    seed = cavs.Generator().seed
    nn_state = nn.init.get_state()
    nn.init.manual_seed(seed)
    assert nn.init.get_state() == nn_state  # of one and the same call
