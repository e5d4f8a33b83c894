"""Constituency trees of the Penn Treebank and of parsers that write as it does: labels are text,
trees span lines, and an outer bracket may have no label: ``( (S (NP (DT The) (NN cat)) ...) )``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from cavs._arguments import boolean, choice, shown, text
from cavs.data._progress import shown_while
from cavs.data._text import PathLike, check_text, fail, quoted, read_text
from cavs.data.annotated import AnnotatedTree
from cavs.data.heads import category, head_child
from cavs.errors import InputError
from cavs.scheduler import InputGraph

NULL = "-NONE-"
_TOKENS = re.compile(r"[()]|[^\s()]+", re.ASCII)
_BINARIZE = ("left", "right", "head")


@dataclass
class _Node:
    """A constituent while trees are read; a tag with its word has no children."""

    label: str
    word: str | None = None
    children: list[_Node] = field(default_factory=list)


@dataclass(frozen=True)
class _Options:
    keep_null: bool
    functions: bool
    binarize: str | None
    marker: str

    def __post_init__(self) -> None:
        boolean("data", "keep_null", self.keep_null)
        boolean("data", "functions", self.functions)
        if self.binarize is not None:
            choice("data", "binarize", self.binarize, _BINARIZE)
        text("data", "marker", self.marker)


def read_penn(
    path: PathLike,
    *,
    keep_null: bool = False,
    functions: bool = True,
    binarize: str | None = None,
    marker: str = "@",
    progress: bool = False,
) -> list[AnnotatedTree]:
    """Read a UTF-8 file of bracketed constituency trees, such as the Treebank's ``.mrg`` files.

    Each phrase, and each tag with its word, is a vertex, in post-order. An outer bracket without a
    label is left out where it holds one tree. ``\\/`` and ``\\*`` in words are read as ``/`` and
    ``*``; ``-LRB-`` and its like stay.

    Args:
      keep_null: keep the null elements, ``(-NONE- *T*-1)``; else they are removed, and with them
        the phrases that hold nothing else.
      functions: keep function tags and indices of labels, ``NP-SBJ-1``; else that is ``NP``.
      binarize: make phrases of more than two children binary: ``right`` splits off the first child,
        ``left`` the last; ``head`` begins with the head (see `head_child`) and joins first what is
        on its right, then what is on its left. None: leave them.
      marker: stands before the label of a phrase that binarisation adds: ``@NP``.
      progress: show a bar on standard error.

    Raises:
      DataError: there is no such file, brackets do not match, a label or a word is missing, a word
        beside other children; names file, line and column.
      InputError: another way to binarise, or no bool or text where one is expected.
    """
    options = _Options(keep_null, functions, binarize, marker)
    content = read_text(path, "constituency trees in brackets")
    source = str(path)
    nodes = shown_while(_parsed(content, source), progress, "trees", 0)
    return [tree for node in nodes if (tree := _finish(node, options)) is not None]


def parse_penn(
    text: str,
    *,
    keep_null: bool = False,
    functions: bool = True,
    binarize: str | None = None,
    marker: str = "@",
    source: str = "",
) -> AnnotatedTree:
    """Read one tree in brackets; arguments and errors as `read_penn`.

    Raises also InputError where nothing is left of the tree, or the text holds several.
    """
    options = _Options(keep_null, functions, binarize, marker)
    found = [_finish(node, options) for node in _parsed(check_text(text, source), source)]
    if len(found) != 1 or found[0] is None:
        raise InputError(
            f"[data] expected one tree with words, got {shown(text)}; read a file of several by "
            "read_penn"
        )
    return found[0]


def phrase_tree(
    tree: Any,
    *,
    keep_null: bool = False,
    functions: bool = True,
    binarize: str | None = None,
    marker: str = "@",
) -> AnnotatedTree:
    """An ``nltk.Tree`` with its labels and words; arguments as `read_penn`.

    Raises InputError for anything else, for a word beside other children, and where nothing is left
    of the tree.
    """
    options = _Options(keep_null, functions, binarize, marker)
    made = _finish(_from_nltk(tree), options)
    if made is None:
        raise InputError(
            "[data] expected a tree with words, got null elements alone; leave the tree out"
        )
    return made


def _parsed(content: str, source: str) -> Iterator[_Node]:
    """The trees of a text; needs no recursion."""
    opened: list[_Node] = []
    begins: list[int] = []
    bracket = False  # whether the last token was an opening bracket

    def bad(position: int, message: str) -> NoReturn:
        line_start = content.rfind("\n", 0, position) + 1
        line = content.count("\n", 0, position) + 1
        fail(source, message, line=line, column=position - line_start + 1)

    for match in _TOKENS.finditer(content):
        token, start = match.group(), match.start()
        if token == "(":
            if opened and opened[-1].word is not None:
                bad(start, "expected ')' behind a word, got '('; give each word a tag of its own")
            opened.append(_Node(""))
            begins.append(start)
        elif token == ")":
            if not opened:
                bad(start, "expected '(' before it, got unbalanced brackets; remove this ')'")
            node, begin = opened.pop(), begins.pop()
            if node.word is None and not node.children:
                got = f"'({shown(node.label)[1:-1]})'"
                bad(begin, f"expected a word or phrases in each bracket, got {got}; write them")
            if opened:
                opened[-1].children.append(node)
            else:
                yield _inner(node)
        elif bracket:
            opened[-1].label = token
        elif not opened:
            bad(start, f"expected '(' before a tree, got {quoted(token)}; remove it")
        elif opened[-1].children or opened[-1].word is not None or not opened[-1].label:
            bad(
                start,
                f"expected one word alone behind its tag, got {quoted(token)} beside others; "
                "give each word a tag of its own",
            )
        else:
            opened[-1].word = token.replace("\\/", "/").replace("\\*", "*")
        bracket = token == "("
    if opened:
        bad(
            begins[-1],
            f"expected ')' for each '(', got {len(opened)} not closed; close them, this is the "
            "innermost",
        )


def _inner(node: _Node) -> _Node:
    """The tree within an outer bracket without a label."""
    while not node.label and len(node.children) == 1:
        node = node.children[0]
    return node


def _from_nltk(tree: Any) -> _Node:
    InputGraph.from_nltk(tree)  # raises for anything else, and where the tree holds itself
    top = _Node(str(tree.label()))
    waiting: list[tuple[_Node, Any]] = [(top, tree)]
    while waiting:
        node, given = waiting.pop()
        for part in given:
            label = getattr(part, "label", None)
            if isinstance(part, list) and callable(label):
                node.children.append(_Node(str(label())))
                waiting.append((node.children[-1], part))
            elif len(given) == 1:
                node.word = str(part)
            else:
                raise InputError(
                    f"[data] expected one word alone beneath its tag, got {shown(part)} beside "
                    "others; give each word a tag of its own"
                )
    return _inner(top)


def _finish(tree: _Node, options: _Options) -> AnnotatedTree | None:
    """The tree as the options want it; None if nothing is left."""
    lists: list[list[int]] = []
    tokens: list[str | None] = []
    labels: list[str | None] = []

    def add(label: str | None, word: str | None, children: list[int]) -> int:
        lists.append(children)
        tokens.append(word)
        labels.append(label)
        return len(lists) - 1

    finished: list[tuple[int, str]] = []  # vertices, and their labels in the file
    waiting: list[tuple[_Node, int]] = [(tree, -1)]
    while waiting:
        node, begin = waiting.pop()
        label = node.label if options.functions else category(node.label)
        if node.word is not None:
            if options.keep_null or node.label != NULL:
                finished.append((add(label, node.word, []), node.label))
        elif begin < 0:
            waiting.append((node, len(finished)))
            waiting.extend((child, -1) for child in reversed(node.children))
        else:
            children = finished[begin:]
            del finished[begin:]
            if children:
                below = [vertex for vertex, _ in children]
                if len(below) > 2 and options.binarize is not None:
                    head = head_child(node.label, [name for _, name in children])
                    below = _binary(below, head, options, label, add)
                finished.append((add(label, None, below), node.label))
    if not finished:
        return None
    none = (None,) * len(lists)
    return AnnotatedTree(InputGraph(lists), tuple(tokens), tuple(labels), none)


def _binary(below: list[int], head: int, options: _Options, label: str, add: Any) -> list[int]:
    """Two vertices in place of more: all but one of the children are joined."""
    joined = options.marker + label
    if options.binarize == "right":
        vertex = below[-1]
        for left in reversed(below[1:-1]):
            vertex = add(joined, None, [left, vertex])
        return [below[0], vertex]
    if options.binarize == "left":
        vertex = below[0]
        for right in below[1:-1]:
            vertex = add(joined, None, [vertex, right])
        return [vertex, below[-1]]
    steps = [(child, False) for child in below[head + 1 :]]
    steps += [(child, True) for child in reversed(below[:head])]
    vertex = below[head]
    for child, left in steps[:-1]:
        vertex = add(joined, None, [child, vertex] if left else [vertex, child])
    child, left = steps[-1]
    return [child, vertex] if left else [vertex, child]
