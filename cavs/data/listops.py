"""ListOps (Nangia & Bowman 2018): nested list operations on digits, made from a seed.

An expression such as ``[MAX 2 9 [MIN 4 7 ] 0 ]`` is a digit, or an operator applied to 2 to 5
expressions: MIN, MAX, MED (the median, rounded down) and SM (the sum modulo 10). As a tree, a
digit is a leaf and an operator is a vertex whose word is its name and whose children are its
arguments in order; every vertex is labelled with the value of its sub-expression, so the root's
label is the answer.

The distribution is the paper's: the root is an operator, each argument is an operator with
probability 1/4 and else a digit; operators, digits and numbers of arguments are uniform; vertices
at the greatest depth (20, the root being at 1) are digits; an expression occurs once. That gives
about 40 tokens on average (half of the expressions have at most 14, one in a hundred more than
360); all depths occur.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np

from cavs._arguments import INT32_MAX, instance, integer, number
from cavs.data._text import PathLike, check_text, fail, iterate, read_lines, shown
from cavs.data.trees import LabelledTree, TreeBuilder, TreeCorpus, check_tree
from cavs.data.vocabulary import UNKNOWN, Vocabulary
from cavs.errors import InputError

LISTOPS_CLASSES = 10
OPERATORS = ("MIN", "MAX", "MED", "SM")
_DIGITS = tuple("0123456789")
_TOKENS = re.compile(r"\[\s*([^\s\[\]]+)|(\])|([^\s\[\]]+)|(\S)", re.ASCII)


def _median(values: list[int]) -> int:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


_VALUE: dict[str, Callable[[list[int]], int]] = {
    "MIN": min,
    "MAX": max,
    "MED": _median,
    "SM": lambda values: sum(values) % 10,
}


class _Expression:
    """Builds the tree of one expression from its tokens in reading order."""

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        # Of those that are open, of which there may be millions: where in the list of arguments
        # that are complete its own begin.
        self._operators: list[str] = []
        self._begins = array("q")
        self._arguments: list[int] = []

    @property
    def depth(self) -> int:
        """How many operators are open."""
        return len(self._operators)

    @property
    def num_arguments(self) -> int:
        """How many arguments the innermost open operator has so far."""
        return len(self._arguments) - self._begins[-1]

    def digit(self, value: int) -> None:
        self._add(value, _DIGITS[value], ())

    def open(self, operator: str) -> None:
        self._operators.append(operator)
        self._begins.append(len(self._arguments))

    def close(self) -> None:
        operator, begin = self._operators.pop(), self._begins.pop()
        arguments = self._arguments[begin:]
        del self._arguments[begin:]
        values = [self._builder.label(vertex) for vertex in arguments]
        self._add(_VALUE[operator](values), operator, arguments)

    def build(self) -> LabelledTree:
        return self._builder.build()

    def _add(self, value: int, token: str, children: Collection[int]) -> None:
        vertex = self._builder.add_checked(value, token, tuple(children))
        if self._operators:
            self._arguments.append(vertex)


def parse_listops(text: str, *, source: str = "", line: int = 1) -> LabelledTree:
    """Read an expression such as ``[SM 1 2 [MAX 3 4 ] ]`` and evaluate it; needs no recursion.

    Raises:
      DataError: unbalanced brackets, an unknown operator, an argument that is not a digit, an
        operator without arguments, text after the expression, no expression. It names line and
        column.
    """
    check_text(text, source, line)
    expression = _Expression()
    done = False
    for match in _TOKENS.finditer(text):
        operator, close, digit, other = match.groups()
        problem = None
        if done:
            problem = (
                "expected the end of the line after the expression, got more; put one on a line"
            )
        elif operator:
            if operator in _VALUE:
                expression.open(operator)
            else:
                problem = (
                    f"expected an operator ({', '.join(OPERATORS)}) after '[', got "
                    f"{shown(operator)}; write one of these"
                )
        elif close:
            if not expression.depth:
                problem = "expected '[' before it, got unbalanced brackets; remove this ']'"
            elif not expression.num_arguments:
                problem = "expected at least one argument before ']', got none; write one"
            else:
                expression.close()
        elif other or digit not in _DIGITS:
            what = (
                "an operator after '[', got none"
                if other
                else f"a digit 0 .. 9, '[' or ']', got {shown(digit)}"
            )
            problem = f"expected {what}; write one of these"
        else:
            expression.digit(int(digit))
        if problem:
            fail(source, problem, line=line, column=match.start() + 1)
        done = not expression.depth
    if expression.depth:
        fail(
            source,
            f"expected ']' for each '[', got {expression.depth} not closed; close them",
            line=line,
        )
    if not done:
        fail(
            source,
            "expected an expression such as [MAX 2 9 ], got an empty line; write one",
            line=line,
        )
    return expression.build()


def format_listops(tree: LabelledTree) -> str:
    """Write a ListOps tree as `parse_listops` reads it."""
    check_tree(tree)
    children = tree.graph.children
    parts: list[str] = []
    waiting = [tree.root]
    while waiting:
        vertex = waiting.pop()
        if vertex < 0:
            parts.append("]")
            continue
        arguments = children[vertex]
        word = tree.tokens[vertex]
        if word not in (_VALUE if arguments else _DIGITS):
            kind = f"one of {', '.join(OPERATORS)}" if arguments else "a digit"
            raise InputError(
                f"[listops] expected {kind} as the word of vertex {vertex}, got {word!r}; correct "
                "the tree"
            )
        parts.append(f"[{word}" if arguments else f"{word}")
        if arguments:
            waiting.append(-1)
            waiting.extend(reversed(arguments))
    return " ".join(parts)


def _uniforms(seed: int, stream: int) -> Iterator[float]:
    """Numbers in [0, 1), from the raw generator, whose output NumPy keeps between versions."""
    bits = np.random.PCG64([seed, stream])
    while True:
        yield from ((bits.random_raw(4096) >> 11) * 2.0**-53).tolist()


class ListOpsGenerator:
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
            integer("listops", name, value, least, 2**63 if name == "seed" else INT32_MAX)
        number("listops", "operator_probability", operator_probability, 0, 1)
        self._draw = _uniforms(seed, stream).__next__
        self._max_depth = max_depth
        self._arguments = max_arguments - 1
        self._probability = operator_probability
        self._max_length = max_length

    def draw(self) -> tuple[str, LabelledTree]:
        """The next expression, as text and as a tree."""
        while True:
            drawn = self._attempt()
            if drawn:
                return drawn

    def _attempt(self) -> tuple[str, LabelledTree] | None:
        draw = self._draw
        expression = _Expression()
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
            words.append(_DIGITS[value])
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
    seed: int = 0,
    max_depth: int = 20,
    max_arguments: int = 5,
    max_length: int | None = None,
) -> TreeCorpus:
    """Training, development and test expressions, no expression in two of them.

    Each set has its own random numbers and they are drawn test, dev, train, so that the test and
    dev sets stay the same when there is more to train on. Arguments as `ListOpsGenerator`.
    """
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


def listops_vocabulary() -> Vocabulary:
    """`<unk>`, the operators and the digits: the same for every corpus."""
    return Vocabulary([UNKNOWN, *OPERATORS, *_DIGITS])


def parse_listops_lines(lines: Iterable[str], *, source: str = "") -> Iterator[LabelledTree]:
    """Read expressions that stand one on a line; blank lines are skipped."""
    for position, line in enumerate(iterate(lines), start=1):
        if check_text(line, source, position).strip():
            yield parse_listops(line, source=source, line=position)


def read_listops(path: PathLike) -> list[LabelledTree]:
    """Read a file with one expression on a line; `DataError` names file, line and column."""
    lines = read_lines(path, "ListOps expressions, one on a line")
    return list(parse_listops_lines(lines, source=str(path)))
