"""Functions of types: the engine equals the reference on random ones, under every policy."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from typed_functions import draw_case, draw_graphs, draw_inputs
from typed_runs import on_host, outputs_and_gradients

import cavs
from cavs.core.passes import PASSES

POLICIES = ("depth", "agenda", "bound", "serial")


def assert_close(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_allclose(found[name], x, rtol=0, atol=1e-10, err_msg=name)


def check_case(seed: int, **options: Any) -> None:
    """The engine, with passes, a policy and threads of the seed's choice, equals the reference."""
    draw = random.Random(seed)
    some = tuple(name for name in PASSES if draw.random() < 0.6)
    passes = draw.choice([None, None, (), some])
    policy = draw.choice([None, *POLICIES, lambda ready: draw.choice(sorted(ready))])
    case = draw_case(seed)
    graphs = draw_graphs(case, seed + 1)
    _, outputs, gradients = outputs_and_gradients(
        case, graphs, seed + 2, executor="reference", dtype="float64"
    )
    threads = cavs.get_num_threads()
    cavs.set_num_threads(draw.choice([1, 2]))
    try:
        model, found, slopes = outputs_and_gradients(
            case, graphs, seed + 2, passes=passes, policy=policy, dtype="float64", **options
        )
        assert_close(found, outputs)
        assert_close(slopes, gradients)
        model.set_random_state({"seed": 3, "step": 0})
        with cavs.no_grad():
            inferred = model(graphs, **draw_inputs(model, graphs, seed + 2))
        assert_close({name: on_host(y) for name, y in inferred.items()}, outputs)
    finally:
        cavs.set_num_threads(threads)


@pytest.mark.parametrize("seed", [*range(60), 180])  # 180: a state is a part of another
def test_the_engine_equals_the_reference(seed: int) -> None:
    check_case(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(60, 360, 20))
def test_the_engine_equals_the_reference_on_many_functions(first: int) -> None:
    for seed in range(first, first + 20):
        check_case(seed)


@pytest.mark.gpu
@pytest.mark.parametrize("seed", range(12))
def test_a_gpu_equals_the_reference(seed: int) -> None:
    check_case(seed, device="cuda")


@pytest.mark.parametrize("seed", range(8))
def test_gradients_of_the_reference_are_central_differences(seed: int) -> None:
    case = draw_case(seed, most_types=4)
    graphs = draw_graphs(case, seed + 1, count=2)
    model, _, gradients = outputs_and_gradients(
        case, graphs, seed + 2, executor="reference", dtype="float64"
    )
    inputs = draw_inputs(model, graphs, seed + 2)

    def loss() -> float:
        model.set_random_state({"seed": 3, "step": 0})
        total = 0.0
        for y in model(graphs, **inputs).values():
            values = on_host(y)
            total += float((values * np.cos(np.arange(values.size)).reshape(values.shape)).sum())
        return total

    draw = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        at = tuple(int(draw.integers(n)) for n in parameter.shape)
        before = parameter.data[at]
        parameter.data[at] = before + 1e-6
        above = loss()
        parameter.data[at] = before - 1e-6
        slope = (above - loss()) / 2e-6
        parameter.data[at] = before
        assert gradients[name][at] == pytest.approx(slope, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("seed", range(12))
def test_outputs_and_samples_have_the_same_bits_under_all_policies_and_threads(seed: int) -> None:
    case = draw_case(seed)
    graphs = draw_graphs(case, seed + 1, count=4)
    threads, first = cavs.get_num_threads(), None
    try:
        for policy in ("depth", "agenda", "bound", lambda ready: max(sorted(ready), key=ready.get)):
            for count in (1, 2):
                cavs.set_num_threads(count)
                _, outputs, _ = outputs_and_gradients(case, graphs, seed + 2, policy=policy)
                first = outputs if first is None else first
                for name, x in outputs.items():
                    assert x.tobytes() == first[name].tobytes(), (policy, count, name)
    finally:
        cavs.set_num_threads(threads)
