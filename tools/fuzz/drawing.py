"""Draws random vertex functions, each from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from functions import Description, Operand, Pull, Shape, Step, Weight
from operations import BINARY, RANDOM, UNARY

SIZES = (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 150)
MOST_ELEMENTS = 600
_RANK = {"none": 0, "graph": 1, "vertex": 2, "edge": 3}


def draw_function(seed: int, *, random_numbers: bool = False) -> Description:
    """The vertex function of a seed; with `random_numbers` it may draw some."""
    return Drawer(seed, random_numbers).function


class Drawer:
    """Draws steps. A method of a family of operations gives the number of the step that it made, or
    None if no value at hand fits."""

    def __init__(self, seed: int, random_numbers: bool) -> None:
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.random_numbers = random_numbers
        self.sizes = self.rng.choice([SIZES[:9], SIZES[:9], SIZES])
        self.ties = self.rng.random() < 0.3  # whether parameters serve several steps
        self.function = Description()
        self._draw()

    def _draw(self) -> None:
        rng = self.rng
        for _ in range(rng.choice([1, 2, 3])):
            self.lookup() if rng.random() < 0.4 else self.pull()
        states = {f"s{n}": self._state_shape() for n in range(rng.choice([0, 1, 1, 2, 3]))}
        for name, shape in states.items():
            for slot in rng.choice([[None], [None], [0], [0, 1], [None, 0], [0, 2], [1]]):
                space = "edge" if slot is None else "vertex"
                self.emit("gather", (), space, shape, name=name, slot=slot)
        for _ in range(rng.randrange(2, 26)):
            self.step()
        for name, shape in states.items():
            self.function.scatters[name] = self._as_state(shape)
        for _ in range(rng.randrange(6)):
            self.step()
        pushable = self._numbers(lambda s: s.space != "none") or [self.pull()]
        count = min(len(pushable), rng.choice([1, 1, 2, 3, 4]))
        last = rng.random() < 0.5
        chosen = pushable[-count:] if last else rng.sample(pushable, count)
        self.function.pushes = {f"o{n}": number for n, number in enumerate(chosen)}

    def _state_shape(self) -> Shape:
        size = self.rng.choice(self.sizes)
        return self.rng.choice([(size,), (size,), (), (2, size)])

    def _as_state(self, shape: Shape) -> int:
        """Makes a bounded value of this shape, one for each vertex, from some value."""
        fits = self._numbers(lambda s: s.space != "none" and math.prod(s.shape) <= 300)
        number = self.rng.choice(fits) if fits else self.pull()
        if self.steps[number].space == "edge":
            number = self._over_children("children_sum", number)
        size, space = math.prod(self.steps[number].shape), self.steps[number].space
        number = self.emit("reshape", (number,), space, (size,), to=(size,))
        weight = self.weight((math.prod(shape), size))
        number = self.emit("linear", (number, weight), space, (math.prod(shape),))
        if shape != (math.prod(shape),):
            number = self.emit("reshape", (number,), space, shape, to=shape)
        return self.tame(number)

    # The values at hand

    @property
    def steps(self) -> list[Step]:
        return self.function.steps

    def emit(
        self, op: str, operands: tuple[Operand, ...], space: str, shape: Shape, **attrs: Any
    ) -> int:
        self.steps.append(Step(op, operands, attrs, space, tuple(shape)))
        return len(self.steps) - 1

    def weight(self, shape: Shape, scale: float | None = None) -> Weight:
        weights = self.function.weights
        same = [n for n, w in enumerate(weights) if w.shape == tuple(shape)]
        if self.ties and same and self.rng.random() < 0.7:
            return Weight(self.rng.choice(same))
        if scale is None:
            scale = 1 / math.sqrt(max(1, shape[-1])) if shape else 1.0
        weights.append(self.numbers.standard_normal(shape) * scale)
        return Weight(len(weights) - 1)

    def _numbers(self, fits: Callable[[Step], bool]) -> list[int]:
        return [number for number, step in enumerate(self.steps) if fits(step)]

    def pick(self, fits: Callable[[Step], bool] = lambda step: True) -> int | None:
        """Any value that fits, or one of the last."""
        found = self._numbers(fits)
        if not found:
            return None
        return self.rng.choice(found if self.rng.random() < 0.5 else found[-6:])

    def pick_of_ids(self) -> int | None:
        """A value that depends on ids and parameters alone."""
        found: list[int] = []
        for number, step in enumerate(self.steps):
            before = [x in found for x in step.operands if type(x) is int]
            if step.op == "embedding" or (
                step.space in ("vertex", "graph")
                and before
                and all(before)
                and "ids" not in step.attrs
                and not step.op.startswith("children")
                and (step.op not in RANDOM or step.op == "dropout_by_id")
            ):
                found.append(number)
        return self.rng.choice(found) if found else None

    def _shape(self, operand: Operand) -> Shape:
        if isinstance(operand, Weight):
            return tuple(self.function.weights[operand.number].shape)
        return self.steps[operand].shape if isinstance(operand, int) else ()

    def _space(self, *operands: Operand) -> str:
        spaces = [self.steps[x].space if type(x) is int else "none" for x in operands]
        return max(spaces, key=lambda space: _RANK[space])

    def unary(self, op: str, number: int, **attrs: Any) -> int:
        return self.emit(op, (number,), *self.steps[number][3:], **attrs)

    def tame(self, number: int) -> int:
        """Brings a value within -1..1, where float32 tells values apart."""
        return self.unary("tanh", number)

    def positive(self, number: int) -> int:
        """A value above 0.5."""
        return self.unary("shift", self.unary("softplus", number))

    # Families of operations

    def step(self) -> int | None:
        number = self.pick()
        if number is None:
            return self.pull()
        families: list[tuple[float, Callable[[int], int | None]]] = [
            (0.20, self.elementwise),
            (0.22, self.pair),
            (0.15, self.product_with_weight),
            (0.05, self.product),
            (0.06, self.join),
            (0.05, self.cut),
            (0.05, self.reshape),
            (0.07, self.reduce),
            (0.08, self.over_children),
            (0.02, self.loss),
            (0.02, self.random),
            (0.03, lambda _: self.lookup()),
        ]
        weights = [weight for weight, _ in families]
        (family,) = self.rng.choices([draw for _, draw in families], weights)
        return family(number)

    def pull(self) -> int:
        space = self.rng.choice(["vertex", "vertex", "edge", "graph"])
        size = self.rng.choice(self.sizes)
        matrix = (self.rng.choice([1, 2, 3]), self.rng.choice([1, 4, 16]))
        shape = self.rng.choice([(), (size,), (size,), matrix])
        name = f"x{len(self.function.pulls)}"
        self.function.pulls[name] = Pull(space, shape, None)
        return self.emit("pull", (), space, shape, name=name)

    def lookup(self) -> int:
        """A row of a table, by ids that other tables may be read by too."""
        pulls = self.function.pulls
        known = [name for name, pull in pulls.items() if pull.bound and name.startswith("x")]
        if known and self.rng.random() < 0.5:
            name = self.rng.choice(known)
        else:
            name = f"x{len(pulls)}"
            space = self.rng.choice(["vertex", "vertex", "edge", "graph"])
            pulls[name] = Pull(space, (), self.rng.choice([1, 2, 7, 40]))
        bound, size = pulls[name].bound, self.rng.choice(self.sizes)
        assert bound is not None
        table = self.weight((bound, size), 1.0)
        return self.emit("embedding", (table,), pulls[name].space, (size,), ids=name)

    def elementwise(self, number: int) -> int:
        op = self.rng.choice(list(UNARY))
        if op in ("exp", "square", "cube", "fifth"):
            number = self.tame(number)
        elif op in ("log", "rsqrt", "reciprocal", "sqrt", "power", "inverse_square"):
            number = self.positive(number)
        elif op == "erfinv":
            number = self.unary("shrink", self.tame(number))
        return self.unary(op, number)

    def pair(self, number: int) -> int | None:
        op = self.rng.choice([*BINARY, "where", "add", "mul", "add", "mul"])
        other = self._beside(number, op)
        if other is None:
            return None
        shape = np.broadcast_shapes(self._shape(number), self._shape(other))
        if math.prod(shape) > MOST_ELEMENTS:
            return None
        if op == "div" and isinstance(other, Weight):
            return None
        if op == "div" and isinstance(other, int):
            other = self.positive(other)
        if op == "pow":
            number = self.positive(self.tame(number))
            other = self.tame(other) if type(other) is int else other
        if op == "where":
            mask = self.pick(lambda step: step.shape in (shape, ()))
            if mask is None:
                return None
            condition = self.emit("greater", (mask, 0.1), *self.steps[mask][3:])
            pair = (number, other) if self.rng.random() < 0.5 else (other, number)
            return self.emit(op, (condition, *pair), self._space(condition, *pair), shape)
        swap = op not in ("div", "pow") and self.rng.random() < 0.4
        pair = (other, number) if swap else (number, other)
        made = self.emit(op, pair, self._space(*pair), shape)
        large = op in ("mul", "binary_cross_entropy", "squared_error")
        return self.tame(made) if large and self.rng.random() < 0.6 else made

    def _beside(self, number: int, op: str) -> Operand | None:
        """A second operand whose shape goes with the first's."""
        shape, chance = self.steps[number].shape, self.rng.random()
        if chance < 0.25:
            some = tuple(1 if self.rng.random() < 0.4 else n for n in shape)
            return self.weight(self.rng.choice([shape, shape[-1:], (), some]), 1.0)
        if chance < 0.35:
            return 2.0 if op == "div" else self.rng.choice([0.0, 1.0, -1.0, 0.5, 2.0, -0.3])

        def fits(step: Step) -> bool:
            ends = zip(step.shape[::-1], shape[::-1], strict=False)
            return len(step.shape) <= len(shape) + 1 and all(
                a == b or a == 1 or b == 1 for a, b in ends
            )

        return self.pick(fits)

    def product_with_weight(self, number: int) -> int | None:
        shape, size = self.steps[number].shape, self.rng.choice(self.sizes)
        if len(shape) not in (1, 2) or math.prod(shape[:-1]) * size > MOST_ELEMENTS:
            return None
        operands: tuple[Operand, ...] = (number, self.weight((size, shape[-1])))
        if self.rng.random() < 0.5:
            operands += (self.weight((size,), 0.3),)
        made = self.emit("linear", operands, self.steps[number].space, (*shape[:-1], size))
        return self._masked(made) if self.rng.random() < 0.2 else made

    def _masked(self, number: int) -> int:
        """A value times a number for each edge, zero for many, and summed: work that can be left
        out."""
        if self.steps[number].space != "edge":
            return number
        masks = self._numbers(lambda s: s.op == "pull" and s.space == "edge" and s.shape == ())
        if masks and self.rng.random() < 0.6:
            mask = self.rng.choice(masks)
        else:
            name = f"mask{len(self.function.pulls)}"
            self.function.pulls[name] = Pull("edge", (), None)
            mask = self.emit("pull", (), "edge", (), name=name)
        made = self.emit("mul", (number, mask), "edge", self.steps[number].shape)
        return self._over_children("children_sum", made) if self.rng.random() < 0.7 else made

    def product(self, number: int) -> int | None:
        """A product of two values, or of a value and a parameter that is no linear layer."""
        shape, space = self.steps[number].shape, self.steps[number].space
        size = self.rng.choice([1, 3, 17])
        if len(shape) == 1:
            way = self.rng.random()
            if way < 0.4:
                return self.emit("matmul", (self.weight((size, *shape)), number), space, (size,))
            if way < 0.7:
                return self.emit("matmul", (number, self.weight((*shape, size))), space, (size,))
            other = self.pick(lambda step: step.shape == shape)
            assert other is not None
            return self.tame(self.emit("matmul", (number, other), self._space(number, other), ()))
        if len(shape) != 2:
            return None
        right = self.pick(lambda step: len(step.shape) == 2 and step.shape[0] == shape[1])
        operand: Operand = self.weight((shape[1], size)) if right is None else right
        made = (shape[0], self._shape(operand)[1])
        if self.rng.random() < 0.3:
            operands: tuple[Operand, ...] = (self.weight((size, shape[0])), number)
            made = (size, shape[1])
        else:
            operands = (number, operand)
        if math.prod(made) > MOST_ELEMENTS:
            return None
        return self.tame(self.emit("matmul", operands, self._space(*operands), made))

    def join(self, number: int) -> int | None:
        shape = self.steps[number].shape
        if not shape:
            return None
        fits = self._numbers(lambda step: bool(step.shape) and step.shape[:-1] == shape[:-1])
        parts = tuple(self.rng.choice(fits) for _ in range(self.rng.choice([1, 2, 2, 3])))
        width = sum(self.steps[part].shape[-1] for part in parts)
        if math.prod(shape[:-1]) * width > MOST_ELEMENTS:
            return None
        return self.emit("concat", parts, self._space(*parts), (*shape[:-1], width))

    def cut(self, number: int) -> int | None:
        shape = self.steps[number].shape
        if not shape or shape[-1] < 2:
            return None
        start = self.rng.randrange(shape[-1] - 1)
        stop = self.rng.randrange(start + 1, shape[-1] + 1)
        kept = (*shape[:-1], stop - start)
        return self.emit("slice", (number,), self.steps[number].space, kept, start=start, stop=stop)

    def reshape(self, number: int) -> int:
        size = math.prod(self.steps[number].shape)
        rows = self.rng.choice([n for n in range(1, min(size, 40) + 1) if size % n == 0])
        shape = self.rng.choice([(size,), (rows, size // rows), (1, size)])
        return self.emit("reshape", (number,), self.steps[number].space, shape, to=shape)

    def reduce(self, number: int) -> int | None:
        shape, space = self.steps[number].shape, self.steps[number].space
        if not shape:
            return None
        op = self.rng.choice(
            ["sum", "mean", "max", "softmax", "log_softmax", "logsumexp", "layer_norm"]
        )
        if op in ("sum", "mean", "max"):
            axis, keepdims = self.rng.choice([-1, None]), self.rng.random() < 0.4
            left = shape[:-1] if axis == -1 else ()
            ones = (1,) if axis == -1 else (1,) * len(shape)
            kept = left + ones if keepdims else left
            made = self.emit(op, (number,), space, kept, axis=axis, keepdims=keepdims)
            return self.tame(made) if op == "sum" else made
        if op == "logsumexp":
            return self.emit(op, (number,), space, shape[:-1])
        if op == "layer_norm":
            if shape[-1] < 5:
                return None
            weights = (self.weight(shape[-1:], 1.0), self.weight(shape[-1:], 1.0))
            return self.emit(op, (number, *weights), space, shape)
        return self.unary(op, number)

    def over_children(self, number: int) -> int | None:
        edge = self.pick(lambda step: step.space == "edge")
        if edge is None:
            return None
        ops = ["sum", "sum", "mean", "max", "softmax", "tanh_logsumexp"]
        return self._over_children(f"children_{self.rng.choice(ops)}", edge)

    def _over_children(self, op: str, number: int) -> int:
        space = "edge" if op == "children_softmax" else "vertex"
        return self.emit(op, (number,), space, self.steps[number].shape)

    def loss(self, number: int) -> int | None:
        shape, space = self.steps[number].shape, self.steps[number].space
        if len(shape) != 1 or space == "none":
            return None
        name = f"label{len(self.function.pulls)}"
        self.function.pulls[name] = Pull(space, (), shape[0])
        return self.emit("cross_entropy", (number,), space, (), ids=name)

    def random(self, number: int) -> int | None:
        shape, space = self.steps[number].shape, self.steps[number].space
        op = self.rng.choice(list(RANDOM))
        if not self.random_numbers or space == "none" or (op == "gumbel_softmax" and not shape):
            return None
        if op == "dropout_by_id":
            of_ids = self.pick_of_ids()
            return None if of_ids is None else self.unary(op, of_ids)
        return self.unary(op, number)
