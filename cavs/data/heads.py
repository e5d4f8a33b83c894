"""Which child is the head of a phrase: the rules of Collins for the Penn Treebank (1999,
*Head-Driven Statistical Models for Natural Language Parsing*, appendix A)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cavs._arguments import instance, items
from cavs.errors import InputError

LEFT, RIGHT = "left", "right"

# Category: the side to begin from, and categories of heads, the most wanted first.
RULES: dict[str, tuple[str, str]] = {
    "ADJP": (
        LEFT,
        "NNS QP NN $ ADVP JJ VBN VBG ADJP JJR NP JJS DT FW RBR RBS SBAR RB",
    ),
    "ADVP": (RIGHT, "RB RBR RBS FW ADVP TO CD JJR JJ IN NP JJS NN"),
    "CONJP": (RIGHT, "CC RB IN"),
    "FRAG": (RIGHT, ""),
    "INTJ": (LEFT, ""),
    "LST": (RIGHT, "LS :"),
    "NAC": (LEFT, "NN NNS NNP NNPS NP NAC EX $ CD QP PRP VBG JJ JJS JJR ADJP FW"),
    "PP": (RIGHT, "IN TO VBG VBN RP FW"),
    "PRN": (LEFT, ""),
    "PRT": (RIGHT, "RP"),
    "QP": (LEFT, "$ IN NNS NN JJ RB DT CD NCD QP JJR JJS"),
    "RRC": (RIGHT, "VP NP ADVP ADJP PP"),
    "S": (LEFT, "TO IN VP S SBAR ADJP UCP NP"),
    "SBAR": (LEFT, "WHNP WHPP WHADVP WHADJP IN DT S SQ SINV SBAR FRAG"),
    "SBARQ": (LEFT, "SQ S SINV SBARQ FRAG"),
    "SINV": (LEFT, "VBZ VBD VBP VB MD VP S SINV ADJP NP"),
    "SQ": (LEFT, "VBZ VBD VBP VB MD VP SQ"),
    "UCP": (RIGHT, ""),
    "VP": (LEFT, "TO VBD VBN MD VBZ VB VBG VBP VP ADJP NN NNS NP"),
    "WHADJP": (LEFT, "CC WRB JJ ADJP"),
    "WHADVP": (RIGHT, "CC WRB"),
    "WHNP": (LEFT, "WDT WP WP$ WHADJP WHPP WHNP"),
    "WHPP": (RIGHT, "IN TO FW"),
}
# Of a noun phrase: sets of categories, each looked for from its side.
_NOUN_RULES = (
    (RIGHT, "NN NNP NNPS NNS NX POS JJR"),
    (LEFT, "NP"),
    (RIGHT, "$ ADJP PRN"),
    (RIGHT, "CD"),
    (RIGHT, "JJ JJS RB QP"),
)
_FUNCTION = re.compile(r"(?<=.)[-=|].*")


def category(label: str | None) -> str:
    """A label without function tags and numbers: ``NP-SBJ-1`` is ``NP``; ``-LRB-`` stays."""
    if label is None:
        return ""
    return label if label.startswith("-") else _FUNCTION.sub("", label)


def head_child(parent: str | None, children: Sequence[str | None]) -> int:
    """The position of the head among the children, by Collins's rules; function tags do not count.

    In a coordination, where the head found stands behind a conjunction, it is what stands before
    that. A category without a rule has its first child as head. Raises InputError for labels that
    are no text, and where there are no children.
    """
    instance("data", "parent", parent, (str, type(None)), "a label")
    given = items("data", "children", children, (str, type(None)), "labels")
    if not given:
        raise InputError("[data] expected the labels of one child or more, got none; pass them")
    name, below = category(parent), [category(child) for child in given]
    head = _noun_head(below) if name in ("NP", "NX") else _by_priority(name, below)
    return head - 2 if head >= 2 and below[head - 1] == "CC" else head


def _by_priority(name: str, below: list[str]) -> int:
    side, wanted = RULES.get(name, (LEFT, ""))
    order = _from(side, len(below))
    for label in wanted.split():
        for position in order:
            if below[position] == label:
                return position
    return order[0]


def _noun_head(below: list[str]) -> int:
    if below[-1] == "POS":
        return len(below) - 1
    for side, labels in _NOUN_RULES:
        among = labels.split()
        for position in _from(side, len(below)):
            if below[position] in among:
                return position
    return len(below) - 1


def _from(side: str, count: int) -> range:
    return range(count) if side == LEFT else range(count - 1, -1, -1)
