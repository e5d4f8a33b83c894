"""NADE against its equations, summed over all images; its forms against each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import chain_graph
from cavs.errors import InputError, ShapeError
from cavs.models import MADE, NADE, VAE
from cavs.training import sample_pixels

PIXELS, HIDDEN = 6, 5
EVERY = np.array(list(itertools.product((0.0, 1.0), repeat=PIXELS)))


def singles(count: int, **options: Any) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[]])] * count, **options)


def make(orders: str = "one") -> NADE:
    cavs.nn.init.manual_seed(1)
    nade = NADE(PIXELS, HIDDEN, orders)
    rng = np.random.default_rng(0)
    for parameter in nade.parameters():  # as far from zero as those of a trained one
        parameter.data[...] = rng.normal(size=parameter.shape)
    return nade


def made(**options: Any) -> MADE:
    cavs.nn.init.manual_seed(1)
    found = MADE(PIXELS, HIDDEN, **options)
    for parameter in found.parameters():
        parameter.data[...] *= 5
    found.direct.data[...] = np.random.default_rng(2).normal(size=found.direct.shape)
    return found


def nats(function: Any, x: np.ndarray, **inputs: Any) -> np.ndarray:
    model = cavs.compile(function, outputs=["loss"], dtype="float64").eval()
    with cavs.no_grad():
        found: np.ndarray = model(singles(len(x)), image=x, **inputs)["loss"].numpy()
    return found


def pixels_of(given: dict[str, Any]) -> np.ndarray:
    return np.argsort(given["order"]).astype(np.int32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def oracle(nade: NADE, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """-log p, pixel by pixel, as the equations say it."""
    p = {name: value.astype(np.float64) for name, value in nade.state_dict().items()}
    found = np.zeros(len(x))
    for number, image in enumerate(x):
        for place, d in enumerate(order):
            before = order[:place]
            a = p["c"] + image[before] @ p["w"][before]
            if "u" in p:
                a = a + p["u"][before].sum(axis=0)
            q = sigmoid(p["b"][d] + p["v"][d] @ sigmoid(a))
            found[number] -= np.log(q if image[d] else 1 - q)
    return found


def test_it_is_what_its_equations_say() -> None:
    nade = make()
    np.testing.assert_allclose(nats(nade, EVERY), oracle(nade, EVERY, np.arange(PIXELS)), rtol=1e-9)


@pytest.mark.parametrize("orders", ["one", "many"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_in_an_order_it_is_what_the_equations_say(orders: str, number: int) -> None:
    nade = make(orders)
    given = nade.in_order(number)
    order = pixels_of(given)
    expected = oracle(nade, EVERY, order)
    np.testing.assert_allclose(nats(nade.ordered(), EVERY, **given), expected, rtol=1e-9)
    assert sorted(order) == list(range(PIXELS))
    assert (number == 0) == (list(order) == list(range(PIXELS)))


def test_made_is_what_its_equations_say() -> None:
    function = made(num_layers=2, num_masks=3, orders="many")
    p = {name: value.astype(np.float64) for name, value in function.state_dict().items()}
    given = function.in_order(2)
    order, (first, second) = given["order"], given["degrees"]
    h = EVERY
    for k, below, above in ((0, order, first), (1, first, second)):
        weight = p[f"hidden.{k}.weight"] * (above[:, None] >= below)
        h = np.maximum(h @ weight.T + p[f"hidden.{k}.bias"], 0)
    logits = h @ (p["pixels.weight"] * (order[:, None] > second)).T + p["pixels.bias"]
    logits += EVERY @ (p["direct"] * (order[:, None] > order)).T
    expected = -np.log(sigmoid(np.where(EVERY > 0, logits, -logits))).sum(axis=1)
    np.testing.assert_allclose(nats(function, EVERY, **given), expected, rtol=1e-9)


def test_probabilities_sum_to_one() -> None:
    many = make("many")
    cases: list[tuple[Any, dict[str, Any]]] = [(make(), {})]
    cases += [(many.ordered(), many.in_order(k)) for k in range(3)]
    for options in ({}, {"num_layers": 3}, {"num_masks": 3, "orders": "many", "num_layers": 2}):
        function = made(**options)
        cases += [(function, function.in_order(k)) for k in range(function.num_masks)]
    for function, inputs in cases:
        assert np.exp(-nats(function, EVERY, **inputs)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("orders", ["one", "many"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_chain_of_pixels_is_the_same(orders: str, number: int) -> None:
    """Values and gradients, in any order."""
    nade = make(orders)
    given, x = nade.in_order(number), EVERY[::5]
    order = pixels_of(given)
    ordered = cavs.compile(nade.ordered(), outputs=["loss"], dtype="float64")
    chain = cavs.compile(nade.chain(), dtype="float64")
    graphs = cavs.batch([chain_graph(PIXELS)] * len(x))
    pixels = {"bit": x[:, order].ravel(), "pixel": np.tile(order, len(x))}
    found = []
    for loss in (
        ordered(singles(len(x)), image=x, **given)["loss"],
        chain(graphs, **pixels)["loss"],
    ):
        for parameter in nade.parameters():
            parameter.zero_grad()
        loss.sum().backward()
        by_image = loss.numpy().reshape(len(x), -1).sum(axis=1)
        found.append([by_image, *(np.array(p.grad) for p in nade.parameters())])
    for ours, others in zip(*found, strict=True):
        np.testing.assert_allclose(ours, others, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("many", [False, True])
def test_samples_come_as_often_as_they_should(many: bool) -> None:
    """Of a small model, all images: frequencies against probabilities, by a chi-squared bound."""
    cases: list[tuple[Any, np.ndarray]] = []
    nade = make("many" if many else "one")
    cases.append((nade, nats(nade.ordered(), EVERY, **nade.in_order(0))))
    masked = made(num_layers=2, num_masks=2, orders="many" if many else "one")
    cases.append((masked, nats(masked, EVERY, **masked.in_order(0))))
    count = 4000
    for function, losses in cases:
        images = sample_pixels(function, count, seed=7)
        seen = np.bincount((images @ 2 ** np.arange(PIXELS)[::-1]).astype(int), minlength=2**PIXELS)
        expected = count * np.exp(-losses)
        distance = ((seen - expected) ** 2 / expected).sum()
        freedom = 2**PIXELS - 1
        assert distance < freedom + 5 * np.sqrt(2 * freedom)


def test_an_image_is_drawn_the_same_in_any_company() -> None:
    for function in (make(), make("many"), made(num_layers=2)):
        some = sample_pixels(function, 3, seed=2)
        np.testing.assert_array_equal(sample_pixels(function, 40, seed=2)[:3], some)
        assert (sample_pixels(function, 40, seed=3)[:3] != some).any()
        assert sample_pixels(function, 0).shape == (0, PIXELS)


def test_an_image_alone_has_what_it_has_in_company() -> None:
    x, masked = EVERY[[3, 40, 21]], made(num_layers=2)
    for function, given in (
        (make(), {}),
        (make("many").ordered(), make("many").in_order(4)),
        (masked, masked.in_order()),
    ):
        together = nats(function, x, **given)
        alone = [nats(function, x[i : i + 1], **given)[0] for i in range(len(x))]
        np.testing.assert_allclose(together, alone, rtol=1e-13)


def test_the_estimate_of_many_orders_is_right_on_average() -> None:
    """Its mean over what is shown is the mean of -log p over orders: here over all of them."""
    nade, x = make("many"), EVERY[37:38]
    ordered = cavs.compile(nade.ordered(), outputs=["loss"], dtype="float64")
    exact = [
        ordered(singles(1), image=x, order=np.float64(order))["loss"].item()
        for order in itertools.permutations(range(1, PIXELS + 1))
    ]
    count = 20_000
    estimates = nats(nade, np.repeat(x, count, axis=0))
    error = estimates.std() / np.sqrt(count)
    assert abs(estimates.mean() - np.mean(exact)) < 4 * error
    assert error < 0.05


def test_masks_let_no_pixel_see_itself_or_one_behind_it() -> None:
    function = made(num_layers=2, num_masks=4, orders="many")
    model = cavs.compile(function, outputs=["logits"], dtype="float64").eval()
    rng = np.random.default_rng(0)
    for number in range(4):
        given = function.in_order(number)
        x = rng.integers(0, 2, (1, PIXELS)).astype(np.float64)
        logits = model(singles(1), image=x, **given)["logits"].numpy()[0]
        for d in range(PIXELS):
            other = x.copy()
            other[0, d] = 1 - other[0, d]
            changed = model(singles(1), image=other, **given)["logits"].numpy()[0] != logits
            assert not changed[given["order"] <= given["order"][d]].any()
    orders = {tuple(function.in_order(number)["order"]) for number in range(8)}
    assert len(orders) == 4


def test_what_a_model_is_made_of() -> None:
    with pytest.raises(InputError, match="expected orders among 'one', 'many', got 'two'"):
        MADE(4, 3, orders="two")
    with pytest.raises(InputError, match="expected orders among 'one', 'many', got 'two'"):
        NADE(4, 3, orders="two")
    with pytest.raises(ShapeError, match="integer num_masks >= 1, got 0"):
        MADE(4, 3, num_masks=0)
    with pytest.raises(InputError, match=r"\[sample\] expected a NADE, a MADE or a PixelCNN, got"):
        sample_pixels(VAE(4, 3, 2), 1)
    with pytest.raises(ShapeError, match="integer image_size >= 2, got 1"):
        NADE(1, 3)
    one = MADE(1, 2)  # its bias alone
    every = np.array([[0.0], [1.0]])
    assert np.exp(-nats(one, every, **one.in_order())).sum() == pytest.approx(1)
