"""ListOps (Nangia & Bowman 2018): nested list operations on digits.

An expression such as ``[MAX 2 9 [MIN 4 7 ] 0 ]`` is a digit, or an operator applied to 2 to 5
expressions: MIN, MAX, MED (the median, rounded down) and SM (the sum modulo 10). As a tree, a
digit is a leaf and an operator is a vertex whose word is its name and whose children are its
arguments in order; every vertex is labelled with the value of its sub-expression, so the root's
label is the answer.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator

from cavs.data._text import PathLike, check_text, fail, iterate, quoted, read_lines
from cavs.data.trees import LabelledTree, TreeBuilder, check_tree
from cavs.data.vocabulary import UNKNOWN, Vocabulary
from cavs.errors import InputError

LISTOPS_CLASSES = 10
OPERATORS = ("MIN", "MAX", "MED", "SM")
DIGITS = tuple("0123456789")
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


class Expression:
    """Builds the tree of one expression from its tokens in reading order."""

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        # The open operators, and there may be millions, and for each the place in `_arguments`
        # where its own arguments begin. `_arguments` holds complete arguments.
        self._operators: list[str] = []
        self._begins = array("q")
        self._arguments: list[int] = []

    @property
    def depth(self) -> int:
        """The number of open operators."""
        return len(self._operators)

    @property
    def num_arguments(self) -> int:
        """The number of arguments that the innermost open operator has so far."""
        return len(self._arguments) - self._begins[-1]

    def digit(self, value: int) -> None:
        self._add(value, DIGITS[value], ())

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
    expression = Expression()
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
                    f"{quoted(operator)}; write one of these"
                )
        elif close:
            if not expression.depth:
                problem = "expected '[' before it, got unbalanced brackets; remove this ']'"
            elif not expression.num_arguments:
                problem = "expected at least one argument before ']', got none; write one"
            else:
                expression.close()
        elif other or digit not in DIGITS:
            what = (
                "an operator after '[', got none"
                if other
                else f"a digit 0 .. 9, '[' or ']', got {quoted(digit)}"
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
        if -1 in arguments:
            raise InputError(
                f"[listops] expected arguments without holes, got one at vertex {vertex}; correct "
                "the tree"
            )
        word = tree.tokens[vertex]
        if word not in (_VALUE if arguments else DIGITS):
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


def listops_vocabulary() -> Vocabulary:
    """`<unk>`, the operators and the digits: the same for every corpus."""
    return Vocabulary([UNKNOWN, *OPERATORS, *DIGITS])


def parse_listops_lines(lines: Iterable[str], *, source: str = "") -> Iterator[LabelledTree]:
    """Read expressions that stand one on a line; blank lines are skipped."""
    for position, line in enumerate(iterate(lines), start=1):
        if check_text(line, source, position).strip():
            yield parse_listops(line, source=source, line=position)


def read_listops(path: PathLike) -> list[LabelledTree]:
    """Read a file with one expression on a line; `DataError` names file, line and column."""
    lines = read_lines(path, "ListOps expressions, one on a line")
    return list(parse_listops_lines(lines, source=str(path)))
