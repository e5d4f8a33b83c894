"""Draws random vertex functions with attention over children among other operations.

Keys and values are of states that depend on inputs alone, of states of layers above these, and of
states that wait for their children; as they are gathered, in part, multiplied by weights, or
computed on edges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from attending import DROPPED, FORMS, OWN
from drawing_newer import NewerDrawer
from functions import Description, Operand, Pull, Shape, Step
from graphs import FEW

#: The most children of a vertex of larger graphs.
MANY = 41


def draw_attention_function(seed: int, *, random_numbers: bool = False) -> Description:
    """The vertex function of a seed; with `random_numbers` it may draw some."""
    return _Drawer(seed, random_numbers).function


class _Drawer(NewerDrawer):
    def _draw(self) -> None:
        rng = self.rng
        self.attended = 0
        self.function.most_children = rng.choice([FEW, FEW, MANY])
        self.heads, self.size, self.width = (rng.choice(n) for n in ([1, 2, 3, 4], *[_SIZES] * 2))
        for _ in range(rng.choice([1, 2, 3])):
            self.lookup() if rng.random() < 0.3 else self.pull()
        names = iter(f"s{n}" for n in range(9))
        for _ in range(rng.choice([0, 1, 1, 1, 2])):  # of what is pulled alone, then of layers
            for _ in range(rng.randrange(4)):
                self.step()
            for name in [next(names) for _ in range(rng.choice([1, 2, 2]))]:
                shape = self._state_shape()
                self.function.scatters[name] = self._as_own_state(shape)
                self._gather(name, shape)
            for _ in range(rng.choice([1, 1, 2])):
                self.attention()
        late = {next(names): self._state_shape() for _ in range(rng.choice([0, 0, 1, 2]))}
        for name, shape in late.items():
            self._gather(name, shape)
        for _ in range(rng.randrange(2, 14)):
            self.step()
        while not self.attended:
            self.attention()
        for name, shape in late.items():
            self.function.scatters[name] = self._as_own_state(shape)
        for _ in range(rng.randrange(4)):
            self.step()
        self._push()

    def _numbers(self, fits: Callable[[Step], bool]) -> list[int]:
        """Without biases that hide: other operations make NaN of -inf."""
        return super()._numbers(lambda s: not _hides(s) and fits(s))

    def _push(self) -> None:
        of_vertices = self._numbers(lambda s: s.space != "none")
        attentions = self._numbers(lambda s: s.op in (OWN, DROPPED))
        chosen = {of_vertices[-1], self.rng.choice(attentions), self.rng.choice(of_vertices)}
        self.function.pushes = {f"o{n}": number for n, number in enumerate(sorted(chosen))}

    def _gather(self, name: str, shape: Shape) -> None:
        for slot in self.rng.choice([[None], [None], [None], [None, 0], [0, None]]):
            space = "edge" if slot is None else "vertex"
            self.emit("gather", (), space, shape, name=name, slot=slot)

    def _state_shape(self) -> Shape:
        h, s, w = self.heads, self.size, self.width
        return self.rng.choice([(h, s), (h * s,), (h, w), (h, s + w), (h * (s + w),), (7,)])

    def _as_own_state(self, shape: Shape) -> int:
        """A value of vertices of this shape: as it is pulled, as it is at hand, or made of one."""
        if self.rng.random() < 0.3:
            return self._pulled("vertex", shape)
        same = self._numbers(lambda s: s.shape == shape and s.space in ("vertex", "graph"))
        return self.rng.choice(same) if same and self.rng.random() < 0.5 else self._as_state(shape)

    def _pulled(self, space: str, shape: Shape, name: str = "x") -> int:
        name = f"{name}{len(self.function.pulls)}"
        self.function.pulls[name] = Pull(space, shape, None)
        return self.emit("pull", (), space, shape, name=name)

    def step(self) -> int | None:
        if self.rng.random() < 0.2:
            return self.attention()
        return super().step()

    def attention(self) -> int | None:
        rng, heads = self.rng, self.heads
        form = rng.choice([*FORMS, "op", "op", "by_hand"])
        if form == "one_head":
            heads = 1
        query, key = self._query((heads, self.size)), self._of_children((heads, self.size))
        width = rng.choice([self.width, self.width, self.size])
        value = key if width == self.size and rng.random() < 0.2 else None
        if value is None:
            value = self._of_children((heads, width))
        biases = {"two_biases": 2, "scaled_sum": 1}.get(form, rng.choice([0, 0, 1]))
        added: list[Operand] = [self._bias(heads) for _ in range(biases)]
        position: Any = None
        if form == "op" and rng.random() < 0.5:
            position = self._columns(heads)
            if not isinstance(position, np.ndarray):
                added.append(position)
                position = True
        scale = rng.choice([None, None, 1.0, 0.7, 0.7 if form == "scaled_sum" else -0.4])
        drops = self.random_numbers and form == "op" and rng.random() < 0.7
        attrs = {"form": form, "scale": scale, "position": position}
        made = self.emit(
            DROPPED if drops else OWN,
            (query, key, value, *added),
            "vertex",
            (heads, width),
            **attrs,
        )
        self.attended += 1
        return made

    def _query(self, shape: Shape) -> Operand:
        """Of each vertex, mostly; of each graph, or a parameter."""
        way = self.rng.random()
        if way < 0.15:
            return self.weight(shape, 1.0)
        if way < 0.45:
            return self._pulled(self.rng.choice(["vertex", "vertex", "graph"]), shape)
        return self._shaped(shape, ("vertex", "graph"))

    def _of_children(self, shape: Shape) -> int:
        way = self.rng.random()
        if way < 0.08:
            return self._pulled("edge", shape)
        if way < 0.25:
            return self._shaped(shape, ("edge",))
        size = shape[0] * shape[1]
        gathered = self._numbers(lambda s: s.op == "gather" and s.space == "edge")
        fits = [n for n in gathered if _holds(self.steps[n].shape, shape)]
        if fits and way < 0.65:
            return self._part(self.rng.choice(fits), shape)
        if not gathered:
            return self._shaped(shape, ("edge",))
        number = self._flat(self.rng.choice(gathered))
        operands: tuple[Operand, ...] = (number, self.weight((size, *self.steps[number].shape)))
        if self.rng.random() < 0.5:
            operands += (self.weight((size,), 0.3),)
        number = self.emit("linear", operands, "edge", (size,))
        if self.rng.random() < 0.2:
            number = self.tame(number)
        return self.emit("reshape", (number,), "edge", shape, to=shape)

    def _part(self, number: int, shape: Shape) -> int:
        """Heads of this size cut out of a state."""
        state, n = self.steps[number].shape, shape[1]
        if len(state) == 1:
            start = self.rng.choice([0, state[0] - shape[0] * n])
            if start or state[0] > shape[0] * n:
                number = self._cut(number, start, shape[0] * n)
            return self.emit("reshape", (number,), "edge", shape, to=shape)
        return self._cut(number, self.rng.choice([0, state[1] - n]), n) if state[1] > n else number

    def _cut(self, number: int, start: int, length: int) -> int:
        shape = (*self.steps[number].shape[:-1], length)
        return self.emit("slice", (number,), "edge", shape, start=start, stop=start + length)

    def _shaped(self, shape: Shape, spaces: tuple[str, ...]) -> int:
        """A value of this shape in one of these spaces, made of one if there is none."""
        same = self._numbers(lambda s: s.shape == shape and s.space in spaces)
        if same and self.rng.random() < 0.7:
            return self.rng.choice(same)
        fits = self._numbers(lambda s: s.space in spaces)
        number = self._flat(self.rng.choice(fits) if fits else self._pulled(spaces[0], (5,)))
        size, space = shape[0] * shape[1], self.steps[number].space
        weight = self.weight((size, *self.steps[number].shape))
        number = self.emit("linear", (number, weight), space, (size,))
        return self.emit("reshape", (self.tame(number),), space, shape, to=shape)

    def _flat(self, number: int) -> int:
        shape, space = self.steps[number].shape, self.steps[number].space
        size = int(np.prod(shape, dtype=int))
        if shape == (size,):
            return number
        return self.emit("reshape", (number,), space, (size,), to=(size,))

    def _bias(self, heads: int) -> int:
        shape: Shape = self.rng.choice([(), (heads,)])
        same = self._numbers(lambda s: s.space == "edge" and s.shape == shape)
        if same and self.rng.random() < 0.4:
            return self.rng.choice(same)
        return self._pulled("edge", shape, self.rng.choice(["x", "x", "mask", "hide"]))

    def _columns(self, heads: int) -> Any:
        most = self.function.most_children
        assert most is not None
        shape = (heads, most + self.rng.choice([0, 0, 1, 3]))
        way = self.rng.random()
        if way < 0.4:
            return self.weight(shape, 1.0)
        if way < 0.6:
            return self.numbers.standard_normal(shape)
        if way < 0.75:
            return self._shaped(shape, ("vertex", "graph"))
        return self._pulled(self.rng.choice(["vertex", "vertex", "graph"]), shape)


_SIZES = (1, 2, 3, 5, 8, 16, 17)


def _hides(step: Step) -> bool:
    return bool(step.op == "pull" and step.attrs["name"].startswith("hide"))


def _holds(state: Shape, shape: Shape) -> bool:
    if len(state) == 1:
        return state[0] >= shape[0] * shape[1]
    return len(state) == 2 and state[0] == shape[0] and state[1] >= shape[1]
