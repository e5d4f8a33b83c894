"""Draws random vertex functions that have the operations of `newer` among the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import newer
import numpy as np
from drawing import MOST_ELEMENTS, Drawer
from functions import Description, Operand, Pull, Shape


def draw_newer_function(seed: int, *, random_numbers: bool = False) -> Description:
    """The vertex function of a seed; with `random_numbers` it may draw some."""
    return NewerDrawer(seed, random_numbers).function


class NewerDrawer(Drawer):
    def step(self) -> int | None:
        if self.rng.random() < 0.4:
            return super().step()
        number = self.pick()
        if number is None:
            return self.pull()
        families: list[Callable[[int], int | None]] = [
            *(self.function_of, self.function_of, self.along, self.along, self.over_axes),
            *(self.moved, self.moved, self.windows, self.windows, self.products, self.norms),
            *(self.stacked, self.of_children),
        ]
        return self.rng.choice(families)(number)

    def deep(self, number: int) -> int:
        """A value of this one's elements with two or three axes, mostly."""
        shape = self.steps[number].shape
        if len(shape) > 2 or self.rng.random() < 0.2:
            return number
        size, sizes = math.prod(shape), []
        for _ in range(self.rng.choice([1, 2, 2])):
            fits = [n for n in range(1, min(size, 20) + 1) if size % n == 0]
            sizes.append(self.rng.choice(fits))
            size //= sizes[-1]
        to = (*sizes, size)
        return self.emit("reshape", (number,), self.steps[number].space, to, to=to)

    def function_of(self, number: int) -> int:
        op = self.rng.choice(list(newer.UNARY))
        if op in newer.WITHIN_ONE:
            number = self.unary("shrink", self.tame(number))
        elif op in newer.POSITIVE:
            number = self.positive(self.tame(number))
        made = self.unary(op, number)
        return made if op in ("erf", "sin", "cos") else self.tame(made)

    def along(self, number: int) -> int | None:
        """Along one axis."""
        number = self.deep(number)
        shape, space = self.steps[number].shape, self.steps[number].space
        if not shape:
            return None
        axis = -1 - self.rng.randrange(len(shape))
        n, at = shape[axis], len(shape) + axis
        op = self.rng.choice(
            ["softmax_along", "log_softmax_along", "cumsum", "sort", "top_k", "greatest", "take"]
        )
        if op == "sort":
            return self.unary(op, number, axis=axis, descending=self.rng.random() < 0.5)
        if op == "top_k":
            k = self.rng.randint(1, n)
            kept = (*shape[:at], k, *shape[at + 1 :])
            return self.emit(op, (number,), space, kept, k=k, axis=axis)
        if op == "greatest":
            kept = (*shape[:at], *shape[at + 1 :], n)
            return self.emit("one_hot_of_greatest", (number,), space, kept, axis=axis)
        if op == "take":
            ids = self.rng.choice([(3,), (1,), (2, 2)])
            kept = (*shape[:at], *ids, *shape[at + 1 :])
            if math.prod(kept) > MOST_ELEMENTS or space == "none":
                return None
            name = f"places{len(self.function.pulls)}"
            self.function.pulls[name] = Pull(space, ids, n)
            return self.emit(op, (number,), space, kept, ids=name, axis=axis)
        made = self.unary(op, number, axis=axis)
        return self.tame(made) if op == "cumsum" else made

    def over_axes(self, number: int) -> int | None:
        number = self.deep(number)
        shape, space = self.steps[number].shape, self.steps[number].space
        if not shape:
            return None
        axes = self._some_axes(shape)
        keepdims = self.rng.random() < 0.4
        op = self.rng.choice(["sum_over", "max_over", "min_over", "logsumexp_over"])
        left = tuple(n for i, n in enumerate(shape) if i - len(shape) not in axes)
        ones = tuple(1 if i - len(shape) in axes else n for i, n in enumerate(shape))
        kept = ones if keepdims else left
        made = self.emit(op, (number,), space, kept, axis=axes, keepdims=keepdims)
        return self.tame(made) if op == "sum_over" else made

    def _some_axes(self, shape: Shape) -> tuple[int, ...]:
        """Counted from the end, ascending."""
        count = self.rng.randint(1, len(shape))
        return tuple(sorted(self.rng.sample(range(-len(shape), 0), count)))

    def moved(self, number: int) -> int | None:
        number = self.deep(number)
        shape, space = self.steps[number].shape, self.steps[number].space
        if not shape:
            return None
        op = self.rng.choice(["permute", "index", "upsample"])
        if op == "permute":
            axes = tuple(self.rng.sample(range(len(shape)), len(shape)))
            kept = tuple(shape[i] for i in axes)
            return self.emit(op, (number,), space, kept, axes=axes)
        if op == "upsample":
            rank = self.rng.randint(1, min(2, len(shape)))
            scale = tuple(self.rng.choice([1, 2, 3]) for _ in range(rank))
            kept = (*shape[:-rank], *(n * s for n, s in zip(shape[-rank:], scale, strict=True)))
            if math.prod(kept) > MOST_ELEMENTS:
                return None
            return self.emit(op, (number,), space, kept, scale=scale)
        count = self.rng.randint(1, len(shape))
        key: tuple[Any, ...] = tuple(self._index(n) for n in shape[:count])
        if space == "edge":  # of a value of each child the first index must be no number
            key = (..., *(self._index(n) for n in shape[-count:]))
        kept = np.empty(shape)[key].shape
        return self.emit(op, (number,), space, kept, key=key)

    def _index(self, n: int) -> int | slice:
        if self.rng.random() < 0.3:
            return self.rng.randrange(-n, n)
        start = self.rng.randrange(n)
        return slice(start, self.rng.randint(start + 1, n))

    def windows(self, number: int) -> int | None:
        number = self.deep(number)
        shape, space = self.steps[number].shape, self.steps[number].space
        if not shape:
            return None
        rank = self.rng.randint(1, min(2, len(shape)))
        size, pad = [], []
        for n in shape[-rank:]:
            k = self.rng.randint(1, min(n + 1, 4))
            before, behind = (self.rng.randint(0, k // 2) for _ in range(2))
            size.append(min(k, n + before + behind))
            pad.append((min(before, size[-1] // 2), min(behind, size[-1] // 2)))
        stride = [self.rng.choice([1, 2, k]) for k in size]
        steps = zip(shape[-rank:], size, stride, pad, strict=True)
        counts = [(n + sum(p) - k) // s + 1 for n, k, s, p in steps]
        if min(counts) < 1:
            return None
        kept = (*shape[:-rank], *counts)
        op = self.rng.choice(["max_pool", "avg_pool"])
        attrs = {"size": tuple(size), "stride": tuple(stride), "padding": tuple(pad)}
        if op == "avg_pool":
            attrs["counts"] = self.rng.random() < 0.5
        return self.emit(op, (number,), space, kept, **attrs)

    def products(self, number: int) -> int | None:
        """Of many matrices, whose axes in front broadcast."""
        number = self.deep(number)
        shape = self.steps[number].shape
        if len(shape) < 2:
            return None
        size = self.rng.choice([1, 2, 5, 17])
        heads = self.rng.choice([(), shape[:-2], (1,) * (len(shape) - 2)])

        def fits(step: object) -> bool:
            return bool(getattr(step, "shape", ()) == (*shape[:-2], shape[-1], shape[-2]))

        other: Operand | None = self.pick(fits) if self.rng.random() < 0.5 else None
        if other is None:
            other = self.weight((*heads, shape[-1], size))
        else:
            size = shape[-2]
        made = (*shape[:-1], size)
        if math.prod(made) > MOST_ELEMENTS:
            return None
        pair = (number, other)
        return self.tame(self.emit("matmul_of_many", pair, self._space(*pair), made))

    def norms(self, number: int) -> int | None:
        number = self.deep(number)
        shape, space = self.steps[number].shape, self.steps[number].space
        if not shape or math.prod(shape) < 5:
            return None
        if self.rng.random() < 0.5:
            groups = self.rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])
            if math.prod(shape) // groups < 5:
                return None
            weights = (self.weight(shape[:1], 1.0), self.weight(shape[:1], 1.0))
            return self.emit("group_norm", (number, *weights), space, shape, groups=groups)
        axes = self._some_axes(shape)
        sizes = tuple(shape[i] for i in axes)
        if math.prod(sizes) < 5:
            return None
        weights = (self.weight(sizes, 1.0), self.weight(sizes, 1.0))
        operands = (number, *weights)
        return self.emit("layer_norm_over", operands, space, shape, eps=1e-5, axis=axes)

    def stacked(self, number: int) -> int | None:
        shape = self.steps[number].shape
        same = self._numbers(lambda step: step.shape == shape)
        parts = tuple(self.rng.choice(same) for _ in range(self.rng.choice([2, 2, 3])))
        if math.prod(shape) * len(parts) > MOST_ELEMENTS:
            return None
        if shape and self.rng.random() < 0.5:
            axis = -1 - self.rng.randrange(len(shape))
            at = len(shape) + axis
            kept = (*shape[:at], shape[at] * len(parts), *shape[at + 1 :])
            return self.emit("concat_along", parts, self._space(*parts), kept, axis=axis)
        axis = -1 - self.rng.randrange(len(shape) + 1)
        at = len(shape) + 1 + axis
        kept = (*shape[:at], len(parts), *shape[at:])
        return self.emit("stack", parts, self._space(*parts), kept, axis=axis)

    def of_children(self, number: int) -> int | None:
        edge = self.pick(lambda step: step.space == "edge")
        return None if edge is None else self.unary("children_log_softmax", edge)
