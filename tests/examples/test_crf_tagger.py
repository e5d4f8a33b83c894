"""The CRF against all tag sequences of short chains, one by one."""

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from example_files import load_example
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import typing as npt

import cavs
from cavs import data

Array = npt.NDArray[np.float64]
TAGS = 3
example = load_example("crf_tagger")
lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4)


class Case(NamedTuple):
    """A batch of chains with random scores."""

    crf: Any
    program: cavs.Program
    graphs: cavs.GraphBatch
    emission: Array
    label: npt.NDArray[np.int32]

    def parts(self) -> list[slice]:
        ptr = self.graphs.ptr.tolist()
        return [slice(begin, end) for begin, end in itertools.pairwise(ptr)]


@pytest.fixture(scope="module")
def program() -> cavs.Program:
    return example.compile_tagger(5, TAGS, 4).to("float64")


def make(program: cavs.Program, sizes: list[int], seed: int) -> Case:
    rng = np.random.default_rng(seed)
    crf = program.function.crf
    for parameter in (crf.start, crf.end, crf.transition):
        parameter.data = rng.normal(0, 2, parameter.shape)
        parameter.zero_grad()
    graphs = cavs.batch([data.chain_graph(size) for size in sizes])
    emission = rng.normal(0, 2, (sum(sizes), TAGS))
    label = rng.integers(0, TAGS, sum(sizes)).astype(np.int32)
    return Case(crf, program, graphs, emission, label)


def score(crf: Any, emission: Array, tags: Any) -> float:
    total = crf.start.data[tags[0]] + crf.end.data[tags[-1]]
    total += sum(row[tag] for row, tag in zip(emission, tags, strict=True))
    return float(total + sum(crf.transition.data[b, a] for a, b in itertools.pairwise(tags)))


def sequences(length: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(TAGS), repeat=length))


@settings(deadline=None, max_examples=25)
@given(sizes=lengths, seed=st.integers(0, 1000))
def test_log_partition_and_loss_are_those_of_all_sequences(
    program: cavs.Program, sizes: list[int], seed: int
) -> None:
    case = make(program, sizes, seed)
    out = program["crf"](case.graphs, emission=case.emission, label=case.label)
    log_z, loss = (cavs.readout(case.graphs, out[name]).data for name in ("log_z", "loss"))
    for i, part in enumerate(case.parts()):
        emission = case.emission[part]
        scores = [score(case.crf, emission, tags) for tags in sequences(len(emission))]
        expected = np.log(np.sum(np.exp(scores)))
        assert log_z[i] == pytest.approx(expected, rel=1e-10)
        gold = score(case.crf, emission, case.label[part])
        assert loss[i] == pytest.approx(expected - gold, rel=1e-8, abs=1e-10)


@settings(deadline=None, max_examples=25)
@given(sizes=lengths, seed=st.integers(0, 1000))
def test_decoding_finds_the_best_of_all_sequences(
    program: cavs.Program, sizes: list[int], seed: int
) -> None:
    case = make(program, sizes, seed)
    found = example.decode(program, case.graphs, cavs.tensor(case.emission))
    for part in case.parts():
        emission = case.emission[part]
        best = max(sequences(len(emission)), key=lambda tags, e=emission: score(case.crf, e, tags))
        assert tuple(found[part].tolist()) == best


@settings(deadline=None, max_examples=25)
@given(sizes=lengths, seed=st.integers(0, 1000))
def test_gradients_of_the_log_partition_are_marginals(
    program: cavs.Program, sizes: list[int], seed: int
) -> None:
    """Of a tag at a vertex, of two tags in a row, of the first tag and of the last one."""
    case = make(program, sizes, seed)
    emission = cavs.tensor(case.emission, requires_grad=True)
    out = program["crf"](case.graphs, outputs=["log_z"], emission=emission)
    cavs.readout(case.graphs, out["log_z"]).sum().backward()
    tag, two = np.zeros_like(case.emission), np.zeros((TAGS, TAGS))
    first, last = np.zeros(TAGS), np.zeros(TAGS)
    for part in case.parts():
        rows = case.emission[part]
        all_tags = sequences(len(rows))
        weights = np.exp([score(case.crf, rows, tags) for tags in all_tags])
        for tags, p in zip(all_tags, weights / weights.sum(), strict=True):
            tag[np.arange(part.start, part.stop), tags] += p
            first[tags[0]] += p
            last[tags[-1]] += p
            for a, b in itertools.pairwise(tags):
                two[b, a] += p
    np.testing.assert_allclose(emission.grad, tag, atol=1e-10)
    np.testing.assert_allclose(case.crf.start.grad, first, atol=1e-10)
    np.testing.assert_allclose(case.crf.end.grad, last, atol=1e-10)
    np.testing.assert_allclose(case.crf.transition.grad, two, atol=1e-10)


def test_training_reaches_all_functions_and_leaves_constants() -> None:
    program = example.compile_tagger(5, TAGS, 4)
    graphs = cavs.batch([data.chain_graph(3), data.chain_graph(1)])
    word, label = np.int32([0, 1, 2, 3]), np.int32([0, 2, 1, 1])
    before = {name: value.copy() for name, value in program.state_dict().items()}
    optimizer = cavs.optim.Adam(program.parameters(), lr=0.1)
    emission = example.emissions(program, graphs, word)
    out = program["crf"](graphs, outputs=["loss"], emission=emission, label=label)
    cavs.readout(graphs, out["loss"]).sum().backward()
    optimizer.step()
    same = {name for name, x in program.state_dict().items() if np.array_equal(x, before[name])}
    assert same == {"crf.one_hot"}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", set()),
        ("B-PER I-PER O B-LOC", {(0, 2, "PER"), (3, 4, "LOC")}),
        ("B-PER B-PER I-PER", {(0, 1, "PER"), (1, 3, "PER")}),
        ("I-PER I-PER I-LOC", {(0, 2, "PER"), (2, 3, "LOC")}),
        ("O I-LOC", {(1, 2, "LOC")}),
    ],
)
def test_names(tags: str, expected: set[tuple[int, int, str]]) -> None:
    assert example.names(tags.split()) == expected
