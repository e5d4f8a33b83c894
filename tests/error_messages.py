"""Finds the messages of errors in the source: Python's by its syntax tree, C++'s by its literals.

A part that is known only when the program runs reads `{}`. A message that goes through functions,
such as ``fail(source, "expected ...")``, is put together from what their callers pass.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import cavs.errors

ERRORS = {*cavs.errors.__all__, "ArgumentTypeError"} | {
    # Errors of Python that the package raises itself; an AssertionError is no message to a user.
    *("AttributeError", "ImportError", "IndexError", "KeyError", "OSError", "RuntimeError"),
    *("TypeError", "ValueError"),
}
FORM = re.compile(
    r"\[([a-z][a-z_ -]*|\{\})\] (.*(: |\{\}))?expected [^;]*\bgot [^;].*; \S.+", re.DOTALL
)
FORM_OF_ARGUMENT = re.compile(r"expected .*\bgot .+")  # argparse says before it which option
OLD = re.compile(r"\bcame\b|\b(was|were) expected|\bmust\b")
PASSED_ON = {
    # C++'s own errors of types, whose messages are among those of C++.
    "cavs/scheduler/graph_batch.py",
    "cavs/scheduler/input_graph.py",
    "cavs/scheduler/structure.py",
    # What another process said: the text of an error of cavs.
    "cavs/bench/runner.py",
    # What is wrong with an array, and the name of the input that it is for.
    "cavs/inputs.py",
}
AS_CUPY = {"cavs/device/_emulated.py", "cavs/device/_emulated_array.py"}
"""What plays the part of CuPy says what CuPy does."""
WRAPPED = "{wrapped}"
"""Stands for another error, which has the form itself."""

_PIECE = re.compile(r"expected|\bgot\b|; |^\[|\{wrapped\}")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Message:
    """A message as it stands in the source, and whether argparse completes it."""

    place: str
    text: str
    of_argument: bool = False

    def problem(self) -> str | None:
        """What is wrong with its form."""
        if self.place.rpartition(":")[0] in AS_CUPY:
            return None
        if (
            re.fullmatch(r"(\[[a-z]+\] \{\}: )?\{\}", self.text)
            and self.place.rpartition(":")[0] in PASSED_ON
        ):
            return None
        if re.fullmatch(r"\[[a-z]+\] [^;]*: " + WRAPPED, self.text):
            return None
        form = FORM_OF_ARGUMENT if self.of_argument else FORM
        good = form.fullmatch(self.text) and not OLD.search(self.text)
        return None if good else f"{self.place}: {self.text}"


@dataclass
class _Module:
    path: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What the node stands in, from the inside."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_of(self, node: ast.AST) -> Function | None:
        return next((x for x in self.around(node) if isinstance(x, Function)), None)


class PythonMessages:
    """All messages of a set of files, each with its text."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._modules = [_Module(path, ast.parse(text)) for path, text in sources.items()]
        self._calls: dict[str, list[tuple[_Module, ast.Call]]] = {}
        self._known: dict[Any, set[str]] = {}
        for module in self._modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and (name := _name_of(node.func)):
                    self._calls.setdefault(name, []).append((module, node))

    def __iter__(self) -> Iterator[Message]:
        for name in sorted(ERRORS & self._calls.keys()):
            for module, call in self._calls[name]:
                if call.args and not isinstance(call.args[0], ast.Starred):
                    place = f"{module.path}:{call.lineno}"
                    for text in sorted(self._texts(module, call.args[0])):
                        yield Message(place, text, name == "ArgumentTypeError")

    def _texts(self, module: _Module, node: ast.AST) -> set[str]:
        """What an expression may read as."""
        if isinstance(node, ast.Constant):
            return {node.value} if isinstance(node.value, str) else {"{}"}
        if isinstance(node, ast.JoinedStr):
            return self._joined(module, node.values)
        if isinstance(node, ast.FormattedValue):
            return self._texts(module, node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._joined(module, [node.left, node.right])
        if isinstance(node, ast.IfExp):
            return self._texts(module, node.body) | self._texts(module, node.orelse)
        if isinstance(node, ast.Call) and _name_of(node.func) == "str":
            return self._texts(module, node.args[0])
        if isinstance(node, ast.Call):
            return self._pieces(module, node, _name_of(node.func), self._returned)
        if isinstance(node, ast.Name):
            for outer in module.around(node):
                if isinstance(outer, ast.ExceptHandler) and outer.name == node.id:
                    return {WRAPPED if _name_of(outer.type) in cavs.errors.__all__ else "{}"}
            return self._pieces(module, module.function_of(node), node.id, self._of_name)
        return {"{}"}

    def _joined(self, module: _Module, parts: list[ast.expr]) -> set[str]:
        texts = (sorted(self._texts(module, part)) for part in parts)
        return {"".join(choice) for choice in product(*texts)}

    def _pieces(self, module: _Module, node: Any, name: str | None, find: Any) -> set[str]:
        """Of what is found, the texts that are pieces of a message; each is looked for once."""
        key = (module.path, node if find == self._of_name else None, name)
        if node is None or name is None:
            return {"{}"}
        if key not in self._known:
            self._known[key] = {"{}"}  # for whoever asks on the way
            found = find(module, node, name)
            self._known[key] = {text for text in found if _PIECE.search(text)} or {"{}"}
        return self._known[key]

    def _of_name(self, module: _Module, function: Function, name: str) -> set[str]:
        """What a function assigns to a name, and what its callers pass as it."""
        found: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.NamedExpr):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(_name_of(target) == name for target in targets):
                    found |= self._texts(module, node.value)
        return found | self._passed(module, function, name)

    def _passed(self, module: _Module, function: Function, name: str) -> set[str]:
        names = [x.arg for x in (*function.args.args, *function.args.kwonlyargs)]
        if name not in names:
            return set()
        method = isinstance(module.parents[function], ast.ClassDef)
        anywhere = isinstance(module.parents[function], ast.Module)
        position = names.index(name) - method
        found: set[str] = set()
        for other, call in self._calls.get(function.name, []):
            if isinstance(call.func, ast.Attribute) != method or not (anywhere or other is module):
                continue
            given = {k.arg: k.value for k in call.keywords}.get(name)
            if given is None and 0 <= position < len(call.args):  # self is passed before
                given = call.args[position]
            if given is not None:
                found |= self._texts(other, given)
        return found

    def _returned(self, module: _Module, _: ast.AST, name: str) -> set[str]:
        """What the functions of this name in the same file return."""
        return {
            text
            for function in ast.walk(module.tree)
            if isinstance(function, Function) and function.name == name
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value is not None
            for text in self._texts(module, node.value)
        }


def _name_of(node: ast.AST | None) -> str | None:
    """The last name of ``a.b.c``."""
    return getattr(node, "attr", None) or getattr(node, "id", None)


def python_messages(folder: Path) -> list[Message]:
    """Those of all files below a folder."""
    files = sorted(folder.rglob("*.py"))
    names = [str(file.relative_to(folder.parent)) for file in files]
    texts = [file.read_text(encoding="utf-8") for file in files]
    return list(PythonMessages(dict(zip(names, texts, strict=True))))


_THROWS = re.compile(r"\b(CAVS_CHECK|fail|throw (?:\w+::)*\w*[Ee]rror)\(")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()]')
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def cpp_messages(folder: Path) -> list[Message]:
    """Those of all C++ files below a folder."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".h", ".cpp"))
    return [
        message
        for file in files
        for message in messages_of_cpp(
            str(file.relative_to(folder.parent)), file.read_text(encoding="utf-8")
        )
    ]


def messages_of_cpp(path: str, text: str) -> Iterator[Message]:
    """Those of one file; throws of which no part is a literal, and definitions, have none."""
    for match in _THROWS.finditer(text):
        arguments = _arguments(text, match.end())
        start = arguments.find('"[')
        if start >= 0:
            parts = _LITERAL.split(arguments[start:])
            # Between literals stand, by turns, what is streamed in and nothing but white space.
            found = "".join(
                part if number % 2 else "{}" * bool(part.strip(" \n,+"))
                for number, part in enumerate(parts)
            )
            yield Message(f"{path}:{text.count(chr(10), 0, match.start()) + 1}", found)
        elif _LITERAL.search(arguments):
            yield Message(f"{path}:{text.count(chr(10), 0, match.start()) + 1}", arguments)


def _arguments(text: str, start: int) -> str:
    """What stands in the parentheses that were opened before `start`."""
    depth, end = 1, start
    for token in _TOKEN.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(token.group(), 0)
        end = token.start()
        if depth == 0:
            break
    return text[start:end]
