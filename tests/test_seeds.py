"""One seed for all: what ``manual_seed`` sets, and what it leaves alone."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import data, nn, ops
from cavs._seed import set_default_seed


@pytest.fixture
def seeds() -> Iterator[None]:
    set_default_seed(0)  # a module may have chosen another one when it was imported
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
