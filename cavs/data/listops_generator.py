"""Draws ListOps expressions from a seed (Nangia & Bowman 2018).

The distribution is the paper's: the root is an operator, each argument is an operator with
probability 1/4 and else a digit; operators, digits and numbers of arguments are uniform; vertices
at the greatest depth (20, the root being at 1) are digits; an expression occurs once. That gives
about 40 tokens on average (half of the expressions have at most 14, one in a hundred more than
360); all depths occur.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cavs._arguments import INT32_MAX, instance, integer, number
from cavs._seed import seed_or_default
from cavs.data._repr import Printed
from cavs.data.listops import DIGITS, LISTOPS_CLASSES, OPERATORS, Expression
from cavs.data.trees import LabelledTree, TreeCorpus
from cavs.errors import InputError


def _uniforms(seed: int, stream: int) -> Iterator[float]:
    """Numbers in [0, 1), from the raw generator, whose output NumPy keeps between versions."""
    bits = np.random.PCG64([seed, stream])
    while True:
        yield from ((bits.random_raw(4096) >> 11) * 2.0**-53).tolist()


class ListOpsGenerator(Printed):
    """An endless, repeatable stream of expressions; equal arguments give equal streams.

    Args:
      seed, stream: choose the random numbers; non-negative.
      max_depth: the depth of the deepest digits, the root being at depth 1; at least 2.
      max_arguments: operators have 2 .. max_arguments arguments.
      operator_probability: how often an argument is an operator and not a digit. From
        2 / (2 + max_arguments) on, only max_depth bounds the size.
      max_length: expressions with more tokens (brackets that close included) are drawn again.
    """

    def __init__(
        self,
        seed: int,
        stream: int = 0,
        *,
        max_depth: int = 20,
        max_arguments: int = 5,
        operator_probability: float = 0.25,
        max_length: int | None = None,
    ) -> None:
        for name, value, least in (
            ("seed", seed, 0),
            ("stream", stream, 0),
            ("max_depth", max_depth, 2),
            ("max_arguments", max_arguments, 2),
            ("max_length", 4 if max_length is None else max_length, 4),
        ):
            integer("listops", name, value, least, 2**64 - 1 if name == "seed" else INT32_MAX)
        number("listops", "operator_probability", operator_probability, 0, 1)
        self._seed, self._stream = seed, stream
        self._draw = _uniforms(seed, stream).__next__
        self._max_depth = max_depth
        self._arguments = max_arguments - 1
        self._probability = operator_probability
        self._max_length = max_length

    def _summary(self) -> str:
        length = "any length" if self._max_length is None else f"at most {self._max_length} tokens"
        return (
            f"seed {self._seed}, stream {self._stream}: depth {self._max_depth}, "
            f"{self._arguments + 1} arguments, {length}"
        )

    def draw(self) -> tuple[str, LabelledTree]:
        """The next expression, as text and as a tree."""
        while True:
            drawn = self._attempt()
            if drawn:
                return drawn

    def _attempt(self) -> tuple[str, LabelledTree] | None:
        draw = self._draw
        expression = Expression()
        remaining: list[int] = []  # arguments still to come, for each open operator
        words: list[str] = []
        while True:
            depth = len(remaining) + 1
            if depth == 1 or (depth < self._max_depth and draw() < self._probability):
                operator = OPERATORS[int(draw() * len(OPERATORS))]
                expression.open(operator)
                remaining.append(2 + int(draw() * self._arguments))
                words.append("[" + operator)
                continue
            value = int(draw() * 10)
            expression.digit(value)
            words.append(DIGITS[value])
            remaining[-1] -= 1
            while not remaining[-1]:
                expression.close()
                words.append("]")
                remaining.pop()
                if not remaining:
                    return " ".join(words), expression.build()
                remaining[-1] -= 1
            if self._max_length is not None and len(words) >= self._max_length:
                return None


def generate_listops(
    count: int, generator: ListOpsGenerator, seen: set[str] | None = None
) -> list[LabelledTree]:
    """Draw `count` different expressions, none of which is in `seen`; they are added to `seen`.

    Raises `InputError` if the generator's arguments do not admit that many.
    """
    count = integer("listops", "count", count, 0)
    instance("listops", "generator", generator, ListOpsGenerator, "a ListOpsGenerator")
    seen = set() if seen is None else instance("listops", "seen", seen, set, "a set")
    trees: list[LabelledTree] = []
    misses = 0
    while len(trees) < count:
        text, tree = generator.draw()
        if text in seen:
            misses += 1
            if misses > 10_000:
                raise InputError(
                    f"[listops] expected {count} different expressions, got {len(trees)}; allow "
                    "more depth or arguments, or ask for fewer"
                )
            continue
        misses = 0
        seen.add(text)
        trees.append(tree)
    return trees


def listops_corpus(
    num_train: int = 20_000,
    num_dev: int = 1_000,
    num_test: int = 1_000,
    *,
    seed: int | None = None,
    max_depth: int = 20,
    max_arguments: int = 5,
    max_length: int | None = None,
) -> TreeCorpus:
    """Training, development and test expressions, no expression in two of them.

    Each set has its own random numbers and they are drawn test, dev, train, so that the test and
    dev sets stay the same when there is more to train on. Arguments as `ListOpsGenerator`; the seed
    None stands for that of `cavs.manual_seed`, else 0.
    """
    seed = seed_or_default(seed)
    seen: set[str] = set()
    splits = []
    for name, value in (("num_train", num_train), ("num_dev", num_dev), ("num_test", num_test)):
        integer("listops", name, value, 0)
    for stream, count in ((2, num_test), (1, num_dev), (0, num_train)):
        generator = ListOpsGenerator(
            seed, stream, max_depth=max_depth, max_arguments=max_arguments, max_length=max_length
        )
        splits.append(generate_listops(count, generator, seen))
    test, dev, train = splits
    return TreeCorpus("listops", train, dev, test, LISTOPS_CLASSES)
