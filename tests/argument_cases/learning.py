"""Calls of layers, distributions, optimizers and their schedules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import cavs
from argument_cases.base import Case, parameter
from cavs import nn, optim
from cavs.nn import distributions as dist
from cavs.nn import estimators, init


def layer_cases() -> Iterator[Case]:
    linear = {"in_features": 2, "out_features": 3, "bias": True, "dtype": "float32"}
    yield Case("Linear", nn.Linear, linear)
    embedding = {"num_embeddings": 2, "embedding_size": 3, "std": 1.0, "dtype": "float32"}
    yield Case("Embedding", nn.Embedding, embedding)
    yield Case("Embedding", nn.Embedding, {**embedding, "values": np.zeros((2, 3))})
    norm = {"size": (2, 3), "eps": 1e-5, "dtype": "float32", "axis": (0, 1)}
    yield Case("LayerNorm", nn.LayerNorm, norm)
    group = {"groups": 2, "channels": 4, "eps": 1e-5, "dtype": "float32"}
    yield Case("GroupNorm", nn.GroupNorm, group)
    yield Case("Dropout", nn.Dropout, {"p": 0.5, "by": "vertex"})
    x = cavs.tensor(np.ones((2, 3), np.float32))
    over = {"kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
    channels = {"in_channels": 2, "out_channels": 4, "dtype": "float32"}
    yield Case("Conv1d", nn.Conv1d, {**channels, **over})
    yield Case("Conv2d", nn.Conv2d, {**channels, **over})
    yield Case("ConvTranspose2d", nn.ConvTranspose2d, {**channels, **over, "output_padding": 0})
    masked = {**channels, "kernel_size": 3, "kind": "A", "padding": "same"}
    yield Case("MaskedConv2d", nn.MaskedConv2d, masked)
    yield Case("Linear()", nn.Linear(3, 2).__call__, {"x": x})
    yield Case("Embedding()", nn.Embedding(3, 2).__call__, {"ids": np.int32([0, 1])})
    yield Case("LayerNorm()", nn.LayerNorm(3).__call__, {"x": x})
    yield Case("init.manual_seed", init.manual_seed, {"seed": 0})
    yield Case("init.set_state", init.set_state, {"state": init.get_state()})
    fills: dict[str, dict[str, Any]] = {
        "uniform_": {"low": 0.0, "high": 1.0},
        "normal_": {"mean": 0.0, "std": 1.0},
        "constant_": {"value": 1.0},
        "xavier_uniform_": {"gain": 1.0},
        "xavier_normal_": {"gain": 1.0},
        "orthogonal_": {"gain": 1.0},
    }
    for name, arguments in fills.items():
        fill = getattr(init, name)
        yield Case(f"init.{name}", fill, {"parameter": parameter(), **arguments})


def distribution_cases() -> Iterator[Case]:
    x = cavs.tensor(np.ones((2, 3), np.float32))
    generator = cavs.Generator(0)
    made: dict[str, dict[str, Any]] = {
        "Normal": {"mean": x, "std": x},
        "Bernoulli": {"logits": x},
        "Categorical": {"logits": x},
        "Uniform": {"low": x, "high": x + 1},
    }
    for name, arguments in made.items():
        make = getattr(dist, name)

        def use(make: Any = make, **given: Any) -> None:
            found = make(**given)
            found.log_prob(x)
            found.sample(generator)
            found.entropy()
            if hasattr(found, "mean"):
                _ = found.mean

        yield Case(name, use, arguments)
        good = make(**arguments)
        yield Case(f"{name}.log_prob", good.log_prob, {"x": x})
        yield Case(f"{name}.sample", good.sample, {"generator": generator})
    relaxed = dist.Categorical(x).relaxed_sample
    yield Case("relaxed_sample", relaxed, {"temperature": 1.0, "generator": generator})
    normal = dist.Normal(x, x)
    yield Case("kl_divergence", dist.kl_divergence, {"p": normal, "q": normal})
    both = {"log_joint": x, "log_q": x}
    yield Case("elbo", estimators.elbo, {"log_weight": x})
    bound = estimators.importance_weighted_bound
    yield Case("importance_weighted_bound", bound, {"log_weight": x})
    yield Case("nvil", estimators.nvil, {**both, "baseline": 0.0, "scale": 1.0})
    yield Case("vimco", estimators.vimco, both)
    weighted = {**both, "dream_log_q": both["log_q"], "wake": True}
    yield Case("reweighted_wake_sleep", estimators.reweighted_wake_sleep, weighted)
    yield Case("wake_sleep", estimators.wake_sleep, {"log_joint": x, "dream_log_q": x})


def optim_cases() -> Iterator[Case]:
    p = {"parameters": [parameter()]}
    common = {"lr": 0.1, "weight_decay": 0.1}
    yield Case("SGD", optim.SGD, {**p, **common, "momentum": 0.1, "nesterov": True})
    adagrad = {"eps": 1e-8, "initial_accumulator_value": 0.1}
    yield Case("Adagrad", optim.Adagrad, {**p, **common, **adagrad})
    for make in (optim.Adam, optim.AdamW):
        arguments = {**p, **common, "betas": (0.9, 0.99), "eps": 1e-8}
        yield Case(make.__name__, make, arguments)
    rmsprop = {"alpha": 0.9, "eps": 1e-8, "momentum": 0.1, "centered": True}
    yield Case("RMSprop", optim.RMSprop, {**p, **common, **rmsprop})
    beta = lambda a, b: optim.Adam([parameter()], betas=(a, b))  # noqa: E731
    yield Case("Adam: betas", beta, {"a": 0.9, "b": 0.99})
    pair = lambda name, p: optim.SGD([(name, p)], 0.1)  # noqa: E731
    yield Case("SGD: pairs", pair, {"name": "a", "p": parameter()})
    group = lambda params, lr: optim.SGD([{"params": params, "lr": lr}], 0.1)  # noqa: E731
    yield Case("SGD: groups", group, {"params": [parameter()], "lr": 0.2})

    def learned() -> nn.Parameter:
        p = parameter()
        p.grad = np.ones((2, 3), np.float32)
        return p

    clip = lambda p, max_norm: optim.clip_grad_norm([p], max_norm)  # noqa: E731
    yield Case("clip_grad_norm", clip, {"p": learned(), "max_norm": 1.0})
    clip = {"parameters": [learned()], "max_norm": 1.0}
    yield Case("clip_grad_norm", optim.clip_grad_norm, clip)

    def step(grad: Any) -> None:
        p = parameter()
        p.grad = grad
        optim.SGD([p], 0.1).step()

    def clip_it(grad: Any) -> None:
        p = parameter()
        p.grad = grad
        optim.clip_grad_norm([p], 1.0)

    for use in (step, clip_it):
        yield Case("grad", use, {"grad": np.ones((2, 3), np.float32)})

    def set_option(**options: Any) -> None:
        p = learned()
        sgd = optim.SGD([p], 0.1, momentum=0.5)
        sgd.groups[0].update(options)
        sgd.step()

    yield Case("groups", set_option, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.0})
    sgd = optim.SGD([parameter()], 0.1, momentum=0.5)
    yield Case("Optimizer.load_state_dict", sgd.load_state_dict, {"state": sgd.state_dict()})
    more = lambda g: optim.SGD([parameter()], 0.1).add_param_group(g)  # noqa: E731
    yield Case("Optimizer.add_param_group", more, {"g": {"params": [parameter()], "lr": 0.1}})
    more = lambda **g: optim.SGD([parameter()], 0.1).add_param_group(g)  # noqa: E731
    yield Case("Optimizer.add_param_group", more, {"params": parameter(), "lr": 0.1})
    one = lambda lr: sgd.load_state_dict({**sgd.state_dict(), "groups.0.lr": lr})  # noqa: E731
    yield Case("Optimizer.load_state_dict", one, {"lr": np.float64(0.1)})
    o = {"optimizer": sgd}
    schedules: dict[str, dict[str, Any]] = {
        "ConstantLR": {},
        "StepLR": {"step_size": 2, "gamma": 0.1},
        "ExponentialLR": {"gamma": 0.1},
        "CosineLR": {"total_steps": 5, "final": 0.1},
        "WarmupLinear": {"warmup_steps": 2, "total_steps": 5},
    }
    for name, arguments in schedules.items():
        make = getattr(optim, name)
        yield Case(name, make, {**o, **arguments})
        schedule = make(sgd, **arguments)
        yield Case(f"{name}.load_state_dict", schedule.load_state_dict, {"state": {}})
        load = lambda s=schedule, **state: s.load_state_dict(state)  # noqa: E731
        yield Case(f"{name}.load_state_dict", load, {"count": 1, "base_lrs": [0.1]})
        yield Case(f"{name}.factor", schedule.factor, {"count": 1})
    plateau = {"factor": 0.5, "patience": 2, "greater": True, "threshold": 0.1, "min_lr": 0.01}
    yield Case("ReduceLROnPlateau", optim.ReduceLROnPlateau, {**o, **plateau})
    made = optim.ReduceLROnPlateau(sgd)
    yield Case("ReduceLROnPlateau.step", made.step, {"score": 1.0})
    yield Case("ReduceLROnPlateau.load_state_dict", made.load_state_dict, {"state": {}})
    load = lambda **state: made.load_state_dict(state)  # noqa: E731
    yield Case("ReduceLROnPlateau.load_state_dict", load, {"best": 1.0, "num_bad": 0})
