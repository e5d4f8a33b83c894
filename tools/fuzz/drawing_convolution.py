"""Draws random vertex functions with convolutions and windows of images and sequences, which are
inputs, states of children, parameters or whatever is computed of these."""

from __future__ import annotations

import math
from typing import Any

from convolving import Kernel
from drawing import MOST_ELEMENTS
from drawing_newer import NewerDrawer
from functions import Description, Operand, Pull, Shape

_CHANNELS, _LENGTHS = (1, 2, 3, 4, 6), (1, 2, 3, 5, 7, 9)


def draw_convolution_function(seed: int, *, random_numbers: bool = False) -> Description:
    """The vertex function of a seed; with `random_numbers` it may draw some."""
    return _Drawer(seed, random_numbers).function


class _Drawer(NewerDrawer):
    def _image(self, rank: int | None = None) -> Shape:
        """Channels and sizes."""
        rng = self.rng
        while True:
            sizes = [rng.choice(_LENGTHS) for _ in range(rank or rng.choice([1, 2, 2]))]
            shape = (rng.choice(_CHANNELS), *sizes)
            if math.prod(shape) <= 150:
                return shape

    def _state_shape(self) -> Shape:
        return self._image() if self.rng.random() < 0.7 else super()._state_shape()

    def _as_state(self, shape: Shape) -> int:
        same = self._numbers(lambda s: s.shape == shape and s.space in ("vertex", "graph"))
        if same and self.rng.random() < 0.6:
            return self.tame(same[-1])
        return super()._as_state(shape)

    def pull(self) -> int:
        if self.rng.random() < 0.5:
            return super().pull()
        return self._pulled(self.rng.choice(["vertex", "vertex", "edge", "graph"]), self._image())

    def _pulled(self, space: str, shape: Shape) -> int:
        name = f"x{len(self.function.pulls)}"
        self.function.pulls[name] = Pull(space, shape, None)
        return self.emit("pull", (), space, shape, name=name)

    def step(self) -> int | None:
        way = self.rng.random()
        number = self.pick()
        if number is None:
            return self.pull()
        if way < 0.4:
            return self.convolution(number)
        if way < 0.5:
            return self.windows(self._of_image(number))
        if way < 0.55:
            return self.moved(self._of_image(number))
        return super().step()

    def _of_image(self, number: int, rank: int | None = None) -> int:
        """An image, most often one at hand; else one made of this value."""
        images = self._numbers(lambda s: len(s.shape) in ((rank + 1,) if rank else (2, 3)))
        if images and self.rng.random() < 0.75:
            return self.rng.choice(images)
        if self.rng.random() < 0.3:
            return self.deep(number)
        shape, space = self.steps[number].shape, self.steps[number].space
        size, image = math.prod(shape), self._image(rank)
        if shape != (size,):
            number = self.emit("reshape", (number,), space, (size,), to=(size,))
        weight = self.weight((math.prod(image), size))
        number = self.tame(self.emit("linear", (number, weight), space, (math.prod(image),)))
        return self.emit("reshape", (number,), space, image, to=image)

    def convolution(self, number: int) -> int | None:
        rng, rank = self.rng, self.rng.choice([1, 2, 2])
        number = self._of_image(number, rank)
        x: Operand = number
        shape = self._shape(x)
        if len(shape) != rank + 1 or self.steps[number].space == "none":
            return None
        if rng.random() < 0.05:
            shape = self._image(rank)
            x = self.weight(shape)
        channels, image = shape[0], shape[1:]
        transposed = rng.random() < 0.35
        groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
        if rng.random() < 0.5:
            groups = 1
        outputs = groups * rng.choice([1, 1, 2, 3])
        size = tuple(rng.choice([1, 2, 3, 3, 4, n]) for n in image)
        made = self._kernel(image, size, groups, transposed)
        if made is None:
            return None
        kernel, sizes = made
        of_weight = (outputs, channels // groups, *size)
        if transposed:
            of_weight = (channels, outputs // groups, *size)
        if math.prod((outputs, *sizes)) > MOST_ELEMENTS or math.prod(of_weight) > MOST_ELEMENTS:
            return None
        operands: tuple[Operand, ...] = (x, self._weight_of(of_weight))
        if self._space(*operands) == "none":
            return None
        if rng.random() < 0.5:
            operands += (self.weight((outputs,), 0.3),)
        op = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
        result = self.emit(op, operands, self._space(*operands), (outputs, *sizes), kernel=kernel)
        return self.tame(result) if rng.random() < 0.5 else result

    def _weight_of(self, shape: Shape) -> Operand:
        """A parameter, mostly; else a value of each vertex, edge or graph."""
        if self.rng.random() < 0.85:
            return self.weight(shape, 1 / math.sqrt(math.prod(shape[1:])))
        same = self._numbers(lambda s: s.shape == shape and s.space != "none")
        if same:
            return self.rng.choice(same)
        return self._pulled(self.rng.choice(["vertex", "vertex", "edge", "graph"]), shape)

    def _kernel(
        self, image: Shape, size: Shape, groups: int, transposed: bool
    ) -> tuple[Kernel, Shape] | None:
        """How it goes, and the sizes of the result; None where none fits."""
        rng, rank = self.rng, len(image)
        for _ in range(5):
            stride = tuple(rng.choice([1, 1, 2, 3]) for _ in range(rank))
            dilation = tuple(rng.choice([1, 1, 1, 2, 3]) for _ in range(rank))
            sides: Any = tuple((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(rank))
            way = rng.random()
            if way < 0.3:
                sides = ((0, 0),) * rank
            elif way < 0.5:
                sides = tuple((before, before) for before, _ in sides)
            elif way < 0.65 and not transposed:
                sides, stride = None, (1,) * rank
            taps = tuple(rng.random() < 0.6 for _ in range(math.prod(size)))
            masked = not transposed and any(taps) and rng.random() < 0.3
            more: Shape = ()
            if transposed and rng.random() < 0.4:
                limits = zip(stride, dilation, strict=True)
                more = tuple(rng.randrange(max(s, d)) for s, d in limits)
            kernel = Kernel(stride, sides, dilation, groups, taps if masked else None, more)
            found = kernel.enlarged(image, size) if transposed else kernel.places(image, size)
            if min(found) >= 1:
                return kernel, found
        return None
