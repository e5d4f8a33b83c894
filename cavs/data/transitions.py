"""Binary trees as the steps of a shift-reduce parser, and how alike two trees are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from cavs._arguments import instance, items
from cavs.data._text import quoted
from cavs.data.dataset import Dataset
from cavs.data.trees import LabelledTree, TreeBuilder, check_tree, check_trees
from cavs.data.vocabulary import Vocabulary
from cavs.errors import DataError, InputError
from cavs.scheduler import GraphBatch, InputGraph

SHIFT, REDUCE = 0, 1


def transition_graph(tree: LabelledTree) -> InputGraph:
    """The states of the stack while a parser builds `tree`, each as a vertex.

    Vertex 0 is the empty stack. Vertex k + 1 is the item on top after the parser made the tree's
    vertex k, in post-order: it shifted a word, or it reduced the two items on top. Vertex k + 1
    gathers from the item below it, and after that from the two items that were reduced.

    Raises:
        DataError: an inner vertex has not two children, or has a word.
    """
    return _transition_graph(tree, "")


def _transition_graph(tree: LabelledTree, where: str) -> InputGraph:
    check_tree(tree)
    stack = [0]
    gathered: list[Sequence[int]] = [()]
    for vertex, children in enumerate(tree.graph.children):
        if (
            len(children) not in (0, 2)
            or -1 in children
            or bool(children) == (tree.tokens[vertex] is not None)
        ):
            token = tree.tokens[vertex]
            word = "no word" if token is None else f"the word {quoted(token)}"
            raise DataError(
                f"[data] {where}expected a binary tree with words at its leaves, got vertex "
                f"{vertex} with {len(children)} children and {word}; make it binary"
            )
        left_and_right = stack[len(stack) - len(children) :]
        del stack[len(stack) - len(children) :]
        gathered.append([stack[-1], *left_and_right])
        stack.append(vertex + 1)
    return InputGraph(gathered)


def transition_dataset(trees: Sequence[LabelledTree], vocabulary: Vocabulary) -> Dataset:
    """The graphs of :func:`transition_graph` with the vertex inputs, int32: ``word``, -1 unless a
    word was shifted; ``read``, how many words were shifted until then; ``action``, the next step,
    `SHIFT` or `REDUCE`, -1 where only one of them is possible.

    Raises:
        DataError: a tree that is not binary; names it.
    """
    trees = check_trees(trees)
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    graphs = []
    words, read, actions = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for number, tree in enumerate(trees, 1):
        graphs.append(_transition_graph(tree, f"tree {number}: "))
        reduced = np.array([token is None for token in tree.tokens])
        shifts = np.concatenate([[0], np.cumsum(~reduced)])
        items = shifts - np.concatenate([[0], np.cumsum(reduced)])
        free = (shifts[:-1] < shifts[-1]) & (items[:-1] > 1)
        actions.append(np.append(np.where(free, reduced, -1), -1).astype(np.int32))
        words.append(np.append(-1, np.where(reduced, -1, vocabulary.encode(tree.tokens))))
        read.append(shifts.astype(np.int32))
    return Dataset(
        graphs,
        vertex={
            "word": np.concatenate(words).astype(np.int32),
            "read": np.concatenate(read),
            "action": np.concatenate(actions),
        },
    )


def parsed_trees(graphs: GraphBatch, sentences: Sequence[Sequence[str]]) -> list[LabelledTree]:
    """The trees, without labels, that a parser built through these graphs: see
    :func:`transition_graph`."""
    counts = np.diff(graphs.child_ptr)
    trees = []
    for (begin, end), sentence in zip(pairwise(graphs.ptr.tolist()), sentences, strict=True):
        builder, words = TreeBuilder(), iter(sentence)
        for vertex in range(begin + 1, end):
            if counts[vertex] == 3:
                first = int(graphs.child_ptr[vertex])
                left, right = (graphs.children[first + 1 : first + 3] - begin - 1).tolist()
                builder.add(-1, None, (left, right))
            else:
                builder.add(-1, next(words))
        trees.append(builder.build())
    return trees


def brackets(tree: LabelledTree) -> set[tuple[int, int]]:
    """The spans (first word, one behind the last) that inner vertices cover, without the root:
    every tree of the sentence has its span."""
    check_tree(tree)
    spans: list[tuple[int, int]] = []
    words = 0
    lists = [[c for c in children if c >= 0] for children in tree.graph.children]
    for children in lists:
        if children:
            spans.append((spans[children[0]][0], spans[children[-1]][1]))
        else:
            spans.append((words, words + 1))
            words += 1
    inner = zip(spans[:-1], lists, strict=False)
    return {span for span, children in inner if children}


def bracket_f1(found: Iterable[LabelledTree], gold: Iterable[LabelledTree]) -> float:
    """The F1 of unlabelled :func:`brackets` over all trees together, in 0..1; 1 if there are no
    brackets (Black et al. 1991)."""
    right = total = 0
    found, gold = check_trees(found), check_trees(gold)
    if len(found) != len(gold):
        raise InputError(
            f"[data] expected as many trees as gold ones, got {len(found)} and {len(gold)}; "
            "give a tree for each"
        )
    for tree, true in zip(found, gold, strict=True):
        mine, its = brackets(tree), brackets(true)
        right += len(mine & its)
        total += len(mine) + len(its)
    return 2 * right / total if total else 1.0


def _words(sentence: Sequence[str]) -> list[str]:
    words = items("data", "sentence", sentence, str, "words")
    if not words:
        raise InputError("[data] expected a sentence of one word or more, got none; leave it out")
    return words


def right_branching(sentence: Sequence[str]) -> LabelledTree:
    """The tree in which each word is joined with all words after it."""
    sentence = _words(sentence)
    builder = TreeBuilder()
    stack = [builder.add(-1, word) for word in sentence]
    while len(stack) > 1:
        right = stack.pop()
        stack.append(builder.add(-1, None, (stack.pop(), right)))
    return builder.build()


def left_branching(sentence: Sequence[str]) -> LabelledTree:
    """The tree in which each word is joined with all words before it."""
    sentence = _words(sentence)
    builder = TreeBuilder()
    top = builder.add(-1, sentence[0])
    for word in sentence[1:]:
        top = builder.add(-1, None, (top, builder.add(-1, word)))
    return builder.build()
