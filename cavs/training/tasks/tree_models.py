"""The models of trees, with or without types of vertices by the shape of a tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import cavs
from cavs.errors import InputError
from cavs.models import CLASSIFIERS, ShapedNaryTreeLSTM, ShapedTreeLSTM
from cavs.training._fields import shown
from cavs.training.contract import ID, Contract, FunctionContract, Pull
from cavs.training.tasks._task import BuiltInModel

NO_TYPES, SHAPE = "none", "shape"
_MEANING = "classify all vertices of labelled trees"
_CONTRACT = Contract(
    {"": FunctionContract({"word": ID, "label": ID}, {"logits": ("num_classes",), "loss": ()})}
)
TREE_MODELS: dict[str, type[cavs.VertexFunction]] = {
    name: CLASSIFIERS[name] for name in ("tree-lstm", "nary-tree-lstm", "tree-gru", "tree-fc")
}
#: Of `TREE_MODELS`, those that can have weights by the shape of phrases.
SHAPED: dict[str, Callable[..., cavs.TypedFunction]] = {
    "tree-lstm": ShapedTreeLSTM,
    "nary-tree-lstm": ShapedNaryTreeLSTM,
}
_SHAPES = ("leaf", "left", "right")
_OF_ALL = Pull(types=_SHAPES)
SHAPED_CONTRACT = Contract(
    {
        "": FunctionContract(
            {"word": _OF_ALL, "label": _OF_ALL},
            {"logits": ("num_classes",), "loss": ()},
            types=_SHAPES,
            pushed_by=_SHAPES,
        )
    }
)


BUILT_IN = tuple(
    BuiltInModel(name, _MEANING, make, _CONTRACT, lacks=() if name in SHAPED else ("types",))
    for name, make in TREE_MODELS.items()
)


def build(name: str, arguments: Mapping[str, Any]) -> Any:
    """A model from its arguments, of which ``types`` says whether it has types.

    Raises:
        InputError: other types.
    """
    given = dict(arguments)
    types = given.pop("types", NO_TYPES)
    if types not in (NO_TYPES, SHAPE):
        raise InputError(
            f"[train] expected types {NO_TYPES} or {SHAPE}, got {shown(types)}; pass one of these"
        )
    return (TREE_MODELS if types == NO_TYPES else SHAPED)[name](**given)


def types_of(arguments: Mapping[str, Any]) -> Literal["none", "shape"]:
    """The types of vertices that a model of these arguments has."""
    return "shape" if arguments.get("types") == SHAPE else "none"


def reasons_of(name: str) -> dict[str, str]:
    """The parameters of a model that get no gradient where only leaves have words, with the
    reason."""
    if name not in SHAPED:
        return {}
    forgets = "it would let a vertex's word decide what is forgotten of its children"
    phrases = [f"{kind}.{weight}.weight" for kind in _SHAPES[1:] for weight in ("w_f", "w_iou")]
    return {
        "w_f.weight": f"{forgets}, and in these trees only leaves have words",
        **dict.fromkeys(
            phrases,
            "it is the weight of a phrase's own word, and in these trees only leaves have words",
        ),
    }
