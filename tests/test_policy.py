"""Policies that are learned: what they are worth, their files, and what they refuse."""

import copy
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typed_models import lattice

import cavs
from cavs.errors import GraphError, InputError


def lattices(seed: int, count: int) -> cavs.GraphBatch:
    """Sentences of characters, with words over two or three of them."""
    draw = np.random.default_rng(seed)
    graphs = []
    for _ in range(count):
        children: list[list[int]] = []
        types: list[str] = []
        last = -1
        chars: list[int] = []
        for place in range(int(draw.integers(3, 12))):
            below = [last] if last >= 0 else []
            length = int(draw.integers(2, 4))
            if place > length and draw.random() < 0.5:
                children.append([chars[place - length]])
                types.append("word")
                below.append(len(children) - 1)
            children.append(below)
            types.append("char")
            last = len(children) - 1
            chars.append(last)
        graphs.append(cavs.InputGraph(children, types=types))
    return cavs.batch(graphs)


BATCHES = [lattices(seed, 24) for seed in range(4)]


@pytest.fixture(scope="module")
def model() -> cavs.Model:
    return cavs.compile(lattice(), seed=1)


@pytest.fixture(scope="module")
def learned(model: cavs.Model) -> cavs.LearnedPolicy:
    found = cavs.learn_policy(model, BATCHES)
    assert isinstance(found, cavs.LearnedPolicy)
    return found


def inputs_of(graphs: cavs.GraphBatch) -> dict[str, Any]:
    chars, words = len(graphs.vertices("char")), len(graphs.vertices("word"))
    draw = np.random.default_rng(0)
    return {
        "character": draw.integers(0, 5, chars).astype(np.int32),
        "word": draw.integers(0, 5, words).astype(np.int32),
        "label": draw.integers(0, 3, chars).astype(np.int32),
    }


def count(policy: Any, graphs: cavs.GraphBatch) -> int:
    model = cavs.compile(lattice(), policy=policy)
    batches: int = model.explain(graphs, repeats=1, **inputs_of(graphs)).num_batches
    return batches


def test_what_is_learned_is_better_than_agenda_and_near_the_bound(
    learned: cavs.LearnedPolicy,
) -> None:
    fresh = lattices(99, 24)
    assert count(learned, fresh) < count("agenda", fresh)
    assert count(learned, fresh) <= 1.06 * count("bound", fresh)


def test_the_policy_is_the_schedule_of_its_own_choices(learned: cavs.LearnedPolicy) -> None:
    fresh = lattices(7, 8)
    table = dict(learned.table)

    def by_hand(ready: Any) -> str:
        state = tuple(sorted(ready, key=lambda t: (-ready[t], learned.types.index(t))))
        return table.get(state, state[0])

    assert count(by_hand, fresh) == count(learned, fresh) == count(lambda r: learned(r), fresh)


def test_a_seed_gives_the_same_policy_and_values_do_not_depend_on_it(
    model: cavs.Model, learned: cavs.LearnedPolicy
) -> None:
    assert cavs.learn_policy(model, BATCHES) == learned
    graphs = BATCHES[0]
    first = model(graphs, **inputs_of(graphs))["loss"].numpy()
    other = cavs.compile(lattice(), policy=learned)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(graphs, **inputs_of(graphs))["loss"].numpy(), first)


def test_copies_texts_and_files_hold_the_policy(
    learned: cavs.LearnedPolicy, tmp_path: Path
) -> None:
    for again in (
        copy.deepcopy(learned),
        pickle.loads(pickle.dumps(learned)),
        cavs.LearnedPolicy.from_json(learned.to_json()),
    ):
        assert again == learned
    model = cavs.compile(lattice(), policy=learned)
    cavs.save(model, tmp_path / "model.safetensors")
    loaded = cavs.load(tmp_path / "model.safetensors", trust=("typed_models",))
    assert loaded._options.policy == learned  # type: ignore[union-attr]
    assert copy.deepcopy(model)._options.policy == learned
    assert pickle.loads(pickle.dumps(model))._options.policy == learned


def test_the_table_is_shown() -> None:
    policy = cavs.LearnedPolicy(("char", "word"), ((("word", "char"), "char"), (("word",), "word")))
    assert str(policy).splitlines() == [
        "ready, most first  runs next",
        "word, char         char",
        "word               word",
        "anything else      the first",
    ]
    assert policy({"char": 1, "word": 2}) == "char"
    assert policy({"char": 2, "word": 2}) == "char"  # not in the table: as many, so the first type
    assert policy({"char": 1}) == "char"


def test_where_agenda_is_as_good_it_is_returned(model: cavs.Model) -> None:
    chains = [cavs.InputGraph([[], [0], [1]], types=["char"] * 3)] * 2
    with pytest.warns(UserWarning, match=r"^\[policy\] expected fewer batches than the 2 of 'agen"):
        assert cavs.learn_policy(model, chains) == "agenda"


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([], "two minibatches of graphs or more, got 0; pass"),
        (BATCHES[:1], "two minibatches of graphs or more, got 1; pass"),
        (3, "minibatches of graphs in a list as batches, got 3"),
        ([BATCHES[0], "x"], "minibatches of graphs as batches, got 'x' at 1"),
    ],
)
def test_wrong_batches_are_refused(model: cavs.Model, batches: Any, match: str) -> None:
    with pytest.raises(InputError, match=r"^\[policy\] expected " + match):
        cavs.learn_policy(model, batches)


def test_graphs_without_its_types_are_refused(model: cavs.Model) -> None:
    graphs = [cavs.InputGraph([[]]), cavs.InputGraph([[]], types=["verb"])]
    with pytest.raises(GraphError, match=r"^\[graph\] expected a type for each vertex"):
        cavs.learn_policy(model, graphs)


class One(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x"))


@pytest.mark.parametrize("wrong", [None, One(), cavs.compile(One())])
def test_a_model_of_types_is_needed(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"^\[policy\] expected .*TypedFunction"):
        cavs.learn_policy(wrong, BATCHES)


@pytest.mark.parametrize("types", [("a", "b"), ("char",), ("char", "word", "verb")])
def test_a_policy_of_another_program_is_refused(types: Sequence[str]) -> None:
    policy = cavs.LearnedPolicy(tuple(types), ())
    match = rf"^\[policy\] expected a function of the types {', '.join(types)}, for which .* char"
    with pytest.raises(InputError, match=match):
        cavs.compile(lattice(), policy=policy)
    with pytest.raises(InputError, match=r"got one of no types; learn one by cavs.learn_policy"):
        cavs.compile(One(), policy=policy)


@pytest.mark.parametrize(
    "table", [((("char", "verb"), "char"),), ((("char",), "word"),), ((("char", "char"), "char"),)]
)
def test_rows_that_are_none_are_refused(table: Any) -> None:
    with pytest.raises(InputError, match=r"^\[policy\] expected states of types among char, word"):
        cavs.LearnedPolicy(("char", "word"), table)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"types": 3, "table": []}',
        '{"types": ["a"], "table": [[["a"]]]}',
        "[" * 99999,
    ],
)
def test_texts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^\[policy\] expected what to_json\(\) of a policy wrote"
    ):
        cavs.LearnedPolicy.from_json(text)


def test_learning_warns_of_nothing_else(model: cavs.Model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cavs.learn_policy(model, iter(BATCHES), seed=3)
