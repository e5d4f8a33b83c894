"""All messages of errors speak one dialect: ``[component] expected X, got Y; do Z``."""

from pathlib import Path

import pytest
from error_messages import Message, PythonMessages, cpp_messages, messages_of_cpp, python_messages

from cavs.errors import InputError

ROOT = Path(__file__).parents[1]


def problems(messages: list[Message]) -> list[str]:
    return [problem for message in messages if (problem := message.problem())]


def test_messages_of_python() -> None:
    messages = python_messages(ROOT / "cavs")
    assert len(messages) > 380
    assert problems(messages) == []


def test_messages_of_cpp() -> None:
    messages = cpp_messages(ROOT / "csrc")
    assert len(messages) > 140
    assert problems(messages) == []


# Each with what is found of it; `%s` stands where a message does.
PYTHON = {
    "at once": "raise InputError(%s)",
    "of another module": "raise errors.ShapeError(%s) from None",
    "of Python": "raise ValueError(%s)",
    "assigned": "def f():\n    message = %s\n    raise DataError(message)",
    "chosen": "def f(a):\n    raise DataError(%s if a else '[a] expected b, got c; do d')",
    "made": "def f():\n    return InputError(%s)\nraise f()",
    "passed": "def fail(at, text):\n    raise DataError(text)\nfail(3, %s)",
    "passed by name": "def fail(*, text):\n    raise DataError(text)\nfail(text=%s)",
    "passed on": (
        "def fail(text):\n    raise DataError(text)\n"
        "class A:\n    def fail(self, text):\n        fail(text)\n"
        "    def run(self):\n        self.fail(%s)"
    ),
    "returned": "def problem():\n    return %s\ndef f():\n    raise DataError(problem())",
}
OLD = [
    "[step] a finite loss was expected, came (nan)",
    "[step] a finite loss was expected, came (nan); lower the learning rate",
    "[graph] child must be an integer, got 1.5; check its type",
    "[step] expected a finite loss, came nan; lower the learning rate",
    "[step] expected a finite loss, got nan",
    "[step] expected a finite loss, got nan; ",
    "[step] got nan, expected a finite loss; lower the learning rate",
    "expected a finite loss, got nan; lower the learning rate",
    "[step] expected a finite loss; lower the learning rate",
    "[data] line 3: unbalanced brackets",
]
GOOD = [
    "[step] expected a finite loss, got nan; lower the learning rate",
    "[row-sparse] expected int32 indices, got int64; convert them",
    "[data] train.txt, line 3: expected a tree, got an empty line; write one",
    "[nonfinite] expected no NaN, got one in output 'y'; the first comes from log; keep in range",
]


@pytest.mark.parametrize("code", PYTHON.values(), ids=PYTHON.keys())
def test_other_messages_of_python_are_found(code: str) -> None:
    for text in OLD:
        assert len(problems(list(PythonMessages({"a.py": code % repr(text)})))) == 1, text
    for text in GOOD:
        assert problems(list(PythonMessages({"a.py": code % repr(text)}))) == []


def test_parts_of_a_message_of_python_are_put_together() -> None:
    code = """
def fail(source, message):
    raise DataError(f"[data] {', '.join(source) + ': ' if source else ''}{message}")

class Reader:
    def take(self, what):
        fail(self.source, f"expected {what}, got {self.line!r}; correct " "the line")
        fail(self.source, f"expected {what}")
"""
    found = PythonMessages({"a.py": code})
    assert sorted(message.text for message in found) == [
        "[data] expected {}",
        "[data] expected {}, got {}; correct the line",
        "[data] {}: expected {}",
        "[data] {}: expected {}, got {}; correct the line",
    ]
    assert problems(list(found)) == [
        "a.py:3: [data] expected {}",
        "a.py:3: [data] {}: expected {}",
    ]


def test_what_argparse_completes_needs_no_component() -> None:
    code = "raise argparse.ArgumentTypeError(f{!r})"
    for text in ("expected an integer, got {text!r}", "expected one of {a}, got {b}"):
        assert problems(list(PythonMessages({"a.py": code.replace("{!r}", repr(text))}))) == []
    (problem,) = problems(list(PythonMessages({"a.py": code.replace("{!r}", "'no integer'")})))
    assert problem == "a.py:1: no integer"


CPP = {
    "check": 'CAVS_CHECK(id >= 0 && (name == "a"), ErrorKind::kValue, %s);',
    "check of several lines": 'CAVS_CHECK(f(a, "("),\n           ErrorKind::kValue,\n  %s);',
    "fail": "fail(ErrorKind::kGraph, %s);",
    "throw": "throw py::type_error(%s);",
}


@pytest.mark.parametrize("code", CPP.values(), ids=CPP.keys())
def test_other_messages_of_cpp_are_found(code: str) -> None:
    for text in OLD:
        assert len(problems(list(messages_of_cpp("a.h", code % f'"{text}"')))) == 1, text
    for text in GOOD:
        assert problems(list(messages_of_cpp("a.h", code % f'"{text}"'))) == []


def test_parts_of_a_message_of_cpp_are_put_together() -> None:
    code = 'fail(kind, "[a] ", where(graph, ": "), "expected ", n,\n  " b, got "\n  "c; do ", d);'
    (message,) = messages_of_cpp("a.h", code)
    assert message.text == "[a] {}: {}expected {} b, got c; do {}"
    assert message.problem() is None


def test_a_message_is_one_line_of_a_thousand_characters_at_most() -> None:
    message = str(InputError("[a] expected\nb, got " + "c" * 5000 + "; do d"))
    assert len(message) <= 1000
    assert "\n" not in message
    assert message.startswith("[a] expected b, got ccc")
    assert message.endswith("ccc; do d")


def test_a_method_that_shows_itself_may_be_called_without_arguments() -> None:
    code = """
class A:
    def fail(self):
        raise InputError(f"[a] expected b, got {self!r}; do c")
A().fail()
"""
    (message,) = PythonMessages({"a.py": code})
    assert message.text == "[a] expected b, got {}; do c"
