"""Functions of the library with an optimizer, which steps train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vertex_functions

import cavs
from cavs import optim

__all__ = ["GRAPHS", "OPTIMIZERS", "Make", "Trained"]

GRAPHS = cavs.batch(
    [
        cavs.InputGraph([[], [], [0, 1], [], [2, 3]]),
        cavs.InputGraph([[], [0]]),
        cavs.InputGraph([[]]),
    ]
)


Make = Callable[[Any], optim.Optimizer]


OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "adagrad-decay": lambda p: optim.Adagrad(
        p, lr=0.1, weight_decay=0.1, initial_accumulator_value=0.1
    ),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adam-decay": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, weight_decay=0.1),
    "rmsprop-momentum": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9),
    "rmsprop-centered": lambda p: optim.RMSprop(p, lr=0.1, eps=1e-3, centered=True),
    "rmsprop-both": lambda p: optim.RMSprop(p, lr=0.1, eps=1e-3, momentum=0.9, centered=True),
}


class Trained:
    """A function of the library with an optimizer, and what a step of it leaves."""

    def __init__(self, name: str, dtype: str, make: Make, **options: Any) -> None:
        function = vertex_functions.make_function(name, dtype)
        self.model = cavs.compile(function, dtype=dtype, seed=3, **options)
        self.optimizer = make(self.model.named_parameters())

    def separately(
        self, graphs: Any, inputs: Any, loss: str, scale: float, clip_norm: float
    ) -> cavs.Tensor:
        value = self.model(graphs, outputs=[loss], **inputs)[loss].sum() * scale
        self.optimizer.zero_grad()
        value.backward()
        if clip_norm:
            optim.clip_grad_norm(self.model.parameters(), clip_norm)
        self.optimizer.step()
        return value

    def state(self) -> dict[str, Any]:
        """All that a step may change, as bytes."""
        found: dict[str, Any] = {"random": self.model.random_state()}
        for name, parameter in self.model.named_parameters():
            grad = parameter.grad
            found[f"{name}.grad"] = type(grad)
            if isinstance(grad, cavs.RowSparse):
                found[f"{name}.indices"] = grad.indices.tobytes()
                found[f"{name}.rows"] = (grad.shape, grad.values.shape, grad.values.tobytes())
            elif grad is not None:
                found[f"{name}.rows"] = (grad.shape, grad.tobytes())
        return found | self.kept()

    def kept(self) -> dict[str, Any]:
        """Of that, what must be the same after an error."""
        arrays = {f"{n}.value": p for n, p in self.model.state_dict().items()}
        arrays |= self.optimizer.state_dict()
        return {name: (x.dtype, x.shape, x.tobytes()) for name, x in arrays.items()}
