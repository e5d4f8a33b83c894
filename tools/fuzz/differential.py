"""Random vertex functions over random graphs: cavs against `oracle`, in every configuration.

It checks outputs, gradients of parameters and inputs, inference, and inference again after
parameters changed in one of many ways. Functions that draw random numbers are compared with the
reference executor of cavs, which shares the definition of the numbers with the engine, but no pass.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from drawing import draw_function
from drawing_attention import draw_attention_function
from drawing_convolution import draw_convolution_function
from drawing_newer import draw_newer_function
from functions import DescribedFunction, Description
from graphs import draw_batch, draw_inputs, in_some_layout
from oracle import Expected, evaluate

import cavs
from cavs._native import core
from cavs.core.passes import PASSES
from cavs.device import device_of

Array = np.ndarray[Any, Any]
TOLERANCE = {"float32": 3e-3, "float64": 1e-7}
#: Operands nearer than this to a jump of an operation may lie on its other side, by rounding.
ROUNDING = {"float32": 1e-4, "float64": 1e-11}
JUMPS = frozenset(
    {
        *("sign", "greater", "less", "greater_equal", "less_equal", "equal", "where"),
        "one_hot_of_greatest",
    }
)
USUAL_LIMITS: Mapping[str, Any] = core.execution_options()
CHANGES = ("in place", "through a view", "load_state_dict", "assigned", "optimizer")


class DifferenceError(Exception):
    """cavs and the oracle differ."""


@dataclass(frozen=True)
class Configuration:
    """How a function is compiled and run."""

    dtype: str = "float32"
    passes: tuple[str, ...] | None = None
    policy: str = "batching"
    outputs: tuple[str, ...] | None = None
    training: bool = True
    threads: int = 1
    device: str = "cpu"
    limits: Mapping[str, Any] | None = None  # of native execution: chunks, when work is shared

    def apply(self) -> None:
        """Sets the settings that belong to the process."""
        cavs.set_num_threads(self.threads)
        core.set_execution_options(**(self.limits or USUAL_LIMITS))


def draw_configuration(
    rng: random.Random, names: Sequence[str], device: str = "cpu"
) -> Configuration:
    """A random configuration on `device`; half of them are those that users compile with."""
    way = rng.random()
    some = tuple(name for name in PASSES if rng.random() < 0.6)
    return Configuration(
        dtype=rng.choice(["float32", "float32", "float64"]),
        passes=None if way < 0.5 else () if way < 0.6 else some,
        policy=rng.choice(["batching"] * 4 + ["serial"]),
        outputs=None
        if rng.random() < 0.7
        else tuple(rng.sample(names, rng.randint(1, len(names)))),
        training=rng.random() < 0.7,
        threads=rng.choice([1, 2, 3]),
        device=device,
        limits={
            "chunk_rows": rng.choice([1, 3, 8, 256]),
            "chunk_bytes": rng.choice([1, 4096, 1 << 20]),
            "min_parallel_rows": rng.choice([1, 2, 8]),
            "min_parallel_ns": rng.choice([0.0, 4000.0]),
            "min_team_ns": rng.choice([0.0, 5000.0]),
            "min_split_ns": rng.choice([0.0, 1000.0]),
            "compile_groups": rng.random() < 0.8,
        },
    )


class Case:
    """One function in one configuration."""

    def __init__(self, seed: int, description: Description, how: Configuration) -> None:
        self.description, self.how = description, how
        self.rng, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.names = list(how.outputs or description.pushes)
        how.apply()
        self.function = DescribedFunction(description, how.dtype)
        self.model = cavs.compile(
            self.function,
            dtype=how.dtype,
            passes=how.passes,
            policy=how.policy,
            outputs=how.outputs,
            device=how.device,
            seed=seed,
            extra_children="ignore",
        )
        self.oracle: cavs.Model | None = None
        if description.draws:
            self.oracle = cavs.compile(
                DescribedFunction(description, "float64"),
                dtype="float64",
                executor="reference",
                outputs=how.outputs,
                seed=seed,
                extra_children="ignore",
            )
        for model in filter(None, [self.model, self.oracle]):
            model.train() if how.training else model.eval()

    def run(self, calls: int) -> None:
        """Runs the case; raises DifferenceError, or any error that cavs raises."""
        for _ in range(calls):
            graphs = self._batch()
            inputs = draw_inputs(self.description.pulls, graphs, self.numbers)
            self._train(graphs, inputs)
            for change in (None, self.rng.choice(CHANGES)):
                if change is not None and self.function.weights:
                    self._change(change)
                if self.rng.random() < 0.5:
                    graphs = self._batch()
                    inputs = draw_inputs(self.description.pulls, graphs, self.numbers)
                self._infer(graphs, inputs, f"inference after {change or 'training'}")

    def _batch(self) -> cavs.GraphBatch:
        return draw_batch(self.rng, self.description.most_children)

    def _train(self, graphs: cavs.GraphBatch, inputs: Mapping[str, Array]) -> None:
        given = in_some_layout(self._pulled(inputs), self.rng)
        learning = {
            name: cavs.Tensor(inputs[name].astype(self.how.dtype), requires_grad=True)
            for name in given
            if inputs[name].dtype.kind == "f" and self.rng.random() < 0.4
        }
        state = self.model.random_state()
        out = self.model(graphs, **{**given, **learning})
        backwards = self.rng.choice([1, 1, 1, 2, 3])
        for number in range(backwards):
            retain = number + 1 < backwards
            if not self._backward(graphs, inputs, learning, state, out, retain=retain):
                return
            if retain and self.rng.random() < 0.3:  # memory of the run must stay its own
                self._infer(graphs, inputs, "inference between backwards", apart=True)

    def _backward(
        self,
        graphs: cavs.GraphBatch,
        inputs: Mapping[str, Array],
        learning: Mapping[str, cavs.Tensor],
        state: Mapping[str, int],
        out: Mapping[str, cavs.Tensor],
        *,
        retain: bool,
    ) -> bool:
        """A backward from some outputs of a call, whose graph is kept or not; False where there is
        none, or the values are too near a jump."""
        for leaf in (*self.function.weights, *learning.values()):
            leaf.zero_grad()
        used = self.names if self.rng.random() < 0.7 else self.names[:1]
        cotangents = {
            name: self.numbers.standard_normal(out[name].shape) * (name in used)
            for name in self.names
        }
        expected = self._expected(graphs, inputs, state, cotangents, learning)
        if expected.margin < ROUNDING[self.how.dtype]:
            return False
        tolerance = TOLERANCE[self.how.dtype]
        for name in self.names:
            _compare(f"output {name}", out[name].numpy(), expected.outputs[name], tolerance)
        parts = [
            (out[name] * cavs.Tensor(cotangents[name], self.how.dtype).to(self.how.device)).sum()
            for name in used
        ]
        loss = sum(parts[1:], parts[0])
        if not loss.requires_grad:
            return False
        loss.backward(retain_graph=retain)
        for number, (p, grad) in enumerate(
            zip(self.function.weights, expected.weights, strict=True)
        ):
            _compare(f"gradient of w{number}", _dense(p), grad, 5 * tolerance)
        for name, x in learning.items():
            grad = np.zeros(x.shape) if x.grad is None else _on_host(x.grad)
            _compare(f"gradient of {name}", grad, expected.inputs[name], 5 * tolerance)
        return True

    def _infer(
        self,
        graphs: cavs.GraphBatch,
        inputs: Mapping[str, Array],
        when: str,
        *,
        apart: bool = False,
    ) -> None:
        """A call without gradients; `apart`: in a thread of its own."""
        state = self.model.random_state()

        def call() -> dict[str, cavs.Tensor]:
            with cavs.no_grad():
                return self.model(graphs, **self._pulled(inputs))

        if apart:
            with ThreadPoolExecutor(1) as pool:
                out = pool.submit(call).result()
        else:
            out = call()
        expected = self._expected(graphs, inputs, state)
        if expected.margin < ROUNDING[self.how.dtype]:
            return
        for name in self.names:
            tolerance = TOLERANCE[self.how.dtype]
            _compare(f"{when}: {name}", out[name].numpy(), expected.outputs[name], tolerance)

    def _pulled(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {name: x for name, x in inputs.items() if name in self.model.inputs}

    def _expected(
        self,
        graphs: cavs.GraphBatch,
        inputs: Mapping[str, Array],
        state: Mapping[str, int],
        cotangents: Mapping[str, Array] | None = None,
        learning: Iterable[str] = (),
    ) -> Expected:
        weights = [p.numpy().astype(np.float64) for p in self.function.weights]
        if self.oracle is not None:
            return self._from_reference(graphs, inputs, state, cotangents, learning, weights)
        description = self.description.pushing(self.names)
        used = {s.attrs[k] for s in description.steps for k in ("name", "ids") if k in s.attrs}
        given = {name: x for name, x in inputs.items() if name in used or name in learning}
        return evaluate(description, graphs, weights, given, cotangents)

    def _from_reference(
        self,
        graphs: cavs.GraphBatch,
        inputs: Mapping[str, Array],
        state: Mapping[str, int],
        cotangents: Mapping[str, Array] | None,
        learning: Iterable[str],
        weights: Sequence[Array],
    ) -> Expected:
        model: Any = self.oracle
        for p, w in zip(model.function.weights, weights, strict=True):
            p.data = w
        model.set_random_state(state)
        model.zero_grad()
        given: dict[str, Any] = {n: x for n, x in inputs.items() if n in model.inputs}
        tensors = {n: cavs.Tensor(inputs[n], requires_grad=True) for n in learning}
        out = model(graphs, **{**given, **tensors})
        if cotangents is not None:
            loss = sum((out[name] * cavs.Tensor(dy)).sum() for name, dy in cotangents.items())
            if loss.requires_grad:
                loss.backward()
        return Expected(
            {name: y.numpy() for name, y in out.items()},
            [_dense(p) for p in model.function.weights],
            {n: np.zeros(x.shape) if x.grad is None else x.grad for n, x in tensors.items()},
        )

    def _change(self, change: str) -> None:
        """Changes some parameters in the way `change`."""
        params = self.function.weights
        some = self.rng.sample(params, self.rng.randint(1, len(params)))
        if change == "in place":
            for p in some:
                more = self.numbers.standard_normal(p.shape) * 0.1
                p.data[...] += device_of(p.data).asarray(more, p.dtype)
        elif change == "through a view":
            held = [p.data.reshape(-1)[:] for p in some]
            with cavs.no_grad():
                graphs = self._batch()
                inputs = draw_inputs(self.description.pulls, graphs, self.numbers)
                self.model(graphs, **self._pulled(inputs))
            for view in held:
                view *= 0.9
        elif change == "load_state_dict":
            self.model.load_state_dict({k: w * 0.95 for k, w in self.model.state_dict().items()})
        elif change == "assigned":
            for p in some:
                p.data = p.data * p.dtype.type(1.05)
        else:
            for p in params:
                if p.grad is not None and not np.isfinite(_dense(p)).all():
                    p.zero_grad()
            optim = cavs.optim
            kind = self.rng.choice([optim.SGD, optim.Adagrad, optim.Adam, optim.RMSprop])
            kind(params, lr=1e-2).step()


def _dense(p: cavs.Parameter) -> Array:
    if p.grad is None:
        return np.zeros(p.shape)
    return _on_host(p.grad.to_dense() if isinstance(p.grad, cavs.RowSparse) else p.grad)


def _on_host(x: Any) -> Array:
    return np.asarray(device_of(x).to_host(x))


def _compare(what: str, found: Array, expected: Array, tolerance: float) -> None:
    if found.shape != expected.shape:
        raise DifferenceError(f"{what}: shape {found.shape}, expected {expected.shape}")
    if not np.isfinite(expected).all():
        return  # a function that overflows proves nothing
    if not np.isfinite(found).all():
        raise DifferenceError(f"{what}: not finite")
    error = np.abs(found - expected).max(initial=0.0)
    scale = 1 + np.abs(expected).max(initial=0.0)
    if error > tolerance * scale:
        raise DifferenceError(f"{what}: off by {error:.3g} where values reach {scale - 1:.3g}")


def check(seed: int, device: str = "cpu") -> str | None:
    """Tries a seed's function on `device`; returns the fault and the configuration, or None."""
    return _check(seed, device, random.Random(f"differential {seed}"), draw_function)


def check_newer(seed: int, device: str = "cpu") -> str | None:
    """The same with the operations of `newer`."""
    return _check(seed, device, random.Random(f"newer {seed}"), draw_newer_function)


def check_attention(seed: int, device: str = "cpu") -> str | None:
    """The same with attention over children."""
    return _check(seed, device, random.Random(f"attention {seed}"), draw_attention_function)


def check_convolution(seed: int, device: str = "cpu") -> str | None:
    """The same with convolutions, windows and images."""
    return _check(seed, device, random.Random(f"convolution {seed}"), draw_convolution_function)


def _check(
    seed: int, device: str, rng: random.Random, draw: Callable[..., Description]
) -> str | None:
    description = draw(seed, random_numbers=rng.random() < 0.2)
    how = draw_configuration(rng, list(description.pushes), device)
    if description.draws and any(step.op in JUMPS for step in description.steps):
        how = replace(how, dtype="float64")  # the reference does not tell how near a jump is
    calls = rng.choice([1, 2, 3])
    found = _fault(seed, description, how, calls)
    if found is None:
        return None
    description, how, found = _smaller(seed, description, how, calls, found)
    return f"seed {seed}: {found}\n{how}\n{description}"


def _fault(seed: int, description: Description, how: Configuration, calls: int) -> str | None:
    try:
        Case(seed, description, how).run(calls)
    except Exception as error:  # any error of a legal function is a fault
        return f"{type(error).__name__}: {error}"
    return None


def _smaller(
    seed: int, description: Description, how: Configuration, calls: int, found: str
) -> tuple[Description, Configuration, str]:
    """The same fault with fewer outputs and fewer settings, if it shows there too."""
    names = list(how.outputs or description.pushes)
    for name in names if len(description.pushes) > 1 else []:
        one = description.pushing([name])
        again = _fault(seed, one, replace(how, outputs=None), calls)
        if again is not None:
            description, how, found = one, replace(how, outputs=None), again
            break
    plain = Configuration(device=how.device)
    for setting in ("limits", "threads", "policy", "passes", "dtype", "training"):
        simpler = replace(how, **{setting: getattr(plain, setting)})
        again = _fault(seed, description, simpler, calls) if simpler != how else None
        if again is not None:
            how, found = simpler, again
    return description, how, found
