"""Recipes: their dropout and their steps, and the check of contenders by masks that are given."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.bench.checks import check_equal
from cavs.bench.contenders import Contender, Weights, recipes_beside
from cavs.bench.recipes import (
    RECIPES,
    STATE,
    WORD,
    draw_masks,
    find_recipe,
    given_masks,
    make_optimizer,
    with_dropout,
)
from cavs.bench.workloads import find
from cavs.errors import CavsRuntimeError, InputError

PLAIN, SST = RECIPES["plain"], RECIPES["sst"]
BATCHES = [np.arange(6), np.arange(6, 12)]


def make_weights(hidden_size: int = 8) -> Weights:
    workload = find("tree-lstm")
    return Weights(workload, workload.data(None, 12), hidden_size)


def parameters(weights: Weights) -> dict[str, Any]:
    return {name: x.copy() for name, x in weights.function.state_dict().items()}


@pytest.mark.parametrize("masks", ["none", "classifier", "vertex", "id"])
def test_masks_say_what_dropout_acts_on(masks: str) -> None:
    recipe = SST.with_masks(masks)
    assert recipe.masks == masks
    assert recipe.dropout == (0.0 if masks == "none" else 0.5)
    assert recipe.embedding_dropout == (0.5 if masks in ("vertex", "id") else 0.0)
    assert recipe.weight_decay == SST.weight_decay
    weights = make_weights()
    function = with_dropout(weights.function, recipe)
    assert list(function.parameters()) == list(weights.function.parameters())
    text = cavs.compile(function).program
    assert ("dropout_by_id" in text) == (masks == "id")
    assert ("dropout" in text) == (masks != "none")
    plain = recipe.without_regularization()
    assert (plain.masks, plain.weight_decay, plain.lr) == ("none", 0.0, SST.lr)


def test_a_recipe_with_dropout_has_others_beside_it() -> None:
    assert recipes_beside(PLAIN) == {}
    assert [r.masks for r in recipes_beside(SST).values()] == ["none", "vertex", "id"]
    assert find_recipe("sst") is SST
    with pytest.raises(InputError, match=r"expected a recipe among \['plain', 'sst'\]"):
        find_recipe("other")

    class Bare(cavs.VertexFunction):
        dropout = 0.0

    with pytest.raises(InputError, match=r"expected a model with embedding_dropout .*, got Bare"):
        with_dropout(Bare(), SST)


@pytest.mark.parametrize("masks", ["classifier", "vertex", "id"])
def test_given_masks_stand_where_drawn_ones_do(masks: str) -> None:
    """Ones scaled back are evaluation; zeros before the classifier leave its bias alone."""
    recipe = SST.with_masks(masks)
    contender = Contender(make_weights(), None, BATCHES, 1, recipe)
    given = contender.draw_masks(0)
    assert set(given) == ({STATE} if masks == "classifier" else {WORD, STATE})
    ones = {name: np.full_like(mask, 0.5) for name, mask in given.items()}
    assert contender.loss(0, ones) == pytest.approx(contender.loss(0), rel=1e-6)
    drawn = contender.gradients(0, given)
    assert contender.loss(0, given) != pytest.approx(contender.loss(0), rel=1e-6)
    zeros = contender.gradients(0, {name: np.zeros_like(mask) for name, mask in given.items()})
    assert not zeros["classifier.weight"].any()
    assert zeros["classifier.bias"].any()
    assert drawn["classifier.weight"].any()


def test_masks_of_the_same_word_are_one_by_id_only() -> None:
    word = np.array([3, -1, 3, 0, 3, -1, 0], np.int32)
    sizes = {WORD: 50, STATE: 20}
    by_id = draw_masks(SST.with_masks("id"), sizes, word)
    by_vertex = draw_masks(SST.with_masks("vertex"), sizes, word)
    for masks, same in ((by_id, True), (by_vertex, False)):
        assert {name: mask.shape for name, mask in masks.items()} == {
            WORD: (7, 50),
            STATE: (7, 20),
        }
        assert (masks[WORD][0] == masks[WORD][2]).all() == same
        assert (masks[WORD][3] == masks[WORD][6]).all() == same
        assert not (masks[WORD][0] == masks[WORD][3]).all()
        assert set(np.unique(masks[STATE])) == {0.0, 1.0}


def test_two_dropouts_of_a_kind_cannot_be_told_apart() -> None:
    class Twice(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 3)
            v.push(y=cavs.ops.dropout(x, 0.5) + cavs.ops.dropout(cavs.ops.tanh(x), 0.5))

    with pytest.raises(InputError, match="expected one dropout of each kind"):
        cavs.Model(Twice(), rewrite=given_masks)


@pytest.mark.parametrize("recipe", [PLAIN, SST.with_masks("none")], ids=["plain", "decay"])
def test_steps_are_those_of_the_recipe(recipe: Any) -> None:
    recipe = replace(recipe, weight_decay=500 * recipe.weight_decay)
    weights, expected = make_weights(), make_weights()
    contender = Contender(weights, None, BATCHES, 1, recipe)
    model = cavs.compile(expected.function)
    optimizer = make_optimizer(expected.function, recipe)
    for group, rate in zip(optimizer.groups, (recipe.lr, recipe.embedding_lr), strict=True):
        assert group["lr"] == rate
    before = parameters(weights)
    for number in range(4):
        contender.train_step(number)
        graphs, inputs = expected.corpus.dataset.batch(BATCHES[number % 2])
        scale = 1 / graphs.num_graphs if recipe.mean else 1.0
        (model(graphs, **inputs)["loss"].sum() * scale).backward()
        optimizer.step()
        optimizer.zero_grad()
    found, wanted = parameters(weights), parameters(expected)
    for name, x in wanted.items():
        np.testing.assert_allclose(found[name], x, rtol=1e-4, atol=1e-6, err_msg=name)
        moves = name != "w_f.weight" or recipe.weight_decay > 0
        assert (found[name] != before[name]).any() == moves
    assert sum(contender.shares().values()) == pytest.approx(1)


def test_timed_steps_drop_and_timed_inference_does_not() -> None:
    losses = []
    for recipe in (SST, *recipes_beside(SST).values()):
        weights = make_weights()
        contender = Contender(weights, None, BATCHES, 1, replace(recipe, weight_decay=0.0))
        before = contender.loss(0)
        contender.infer_step(0)
        assert contender.loss(0) == before
        contender.train_step(0)
        losses.append(contender.loss(0))
    assert len(set(losses)) == 4


def test_contenders_are_held_to_those_with_the_same_masks() -> None:
    weights = make_weights()
    recipes = {"cavs": SST, **recipes_beside(SST)}
    ours = {name: Contender(weights, None, BATCHES, 1, r) for name, r in recipes.items()}
    ours["paper"] = Contender(weights, (), BATCHES, 1, SST)
    differences = check_equal(ours, {})
    assert set(differences) == set(ours) - {"cavs"}
    assert max(differences.values()) < 1e-5
    assert differences["paper"] > 0

    by_id = ours["id masks"]

    class Other:
        recipe = SST.with_masks("id")

        def loss(self, number: int, masks: Any = None) -> float:
            return by_id.loss(number, masks) * (1.001 if masks else 1.0)

        def gradients(self, number: int, masks: Any = None) -> Any:
            return by_id.gradients(number, masks)

    rivals: Any = {"other": Other()}
    with pytest.raises(CavsRuntimeError, match=r"loss of other within 0\.0002 of cavs's"):
        check_equal(ours, rivals)
    ours = {"cavs": ours["cavs"]}
    with pytest.raises(CavsRuntimeError, match="expected a contender of cavs with id masks"):
        check_equal(ours, rivals | {"another": Other()})
