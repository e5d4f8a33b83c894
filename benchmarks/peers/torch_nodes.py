"""The child-sum Tree-LSTM in PyTorch, one vertex at a time, differentiated by autograd.

A user's first program: a recursion over the tree that calls modules on one row. It is kind to
PyTorch where that costs the user nothing: a tree's words are looked up and projected in one call,
inner vertices have no projection, and the classifier and the loss run once over all vertices of a
batch. Dropout multiplies by masks that are drawn in the cheapest way (see `torch_masks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.protocol import Array, PeerBatch, UnsuitableError
from torch import nn

from cavs.bench.recipes import STATE, WORD, Recipe

Tensor = Any
State = tuple[Any, Any]  # h and c, each (1, hidden)


class _Tree:
    """One graph: the children of each vertex, its roots, the words of its leaves, its labels."""

    def __init__(self, batch: PeerBatch, first: int, last: int) -> None:
        ptr = batch.child_ptr[first : last + 1]
        below = batch.children[ptr[0] : ptr[-1]] - first
        words, labels = batch.inputs["word"][first:last], batch.inputs["label"][first:last]
        if ((np.diff(ptr) == 0) != (words >= 0)).any():
            raise UnsuitableError("expected words on the leaves and nowhere else")
        self.children = [part.tolist() for part in np.split(below, ptr[1:-1] - ptr[0])]
        self.roots = np.setdiff1d(np.arange(last - first), below).tolist()
        self.leaf_number = (np.cumsum(words >= 0) - 1).tolist()
        self.leaves = first + np.flatnonzero(words >= 0)
        self.words = torch.from_numpy(words[words >= 0].astype(np.int64))
        self.labels = torch.from_numpy(labels.astype(np.int64))


class _Module(nn.Module):
    def __init__(self, vocab_size: int, embedding: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding, sparse=True)
        self.w_iou = nn.Linear(embedding, 3 * hidden)
        self.u_iou = nn.Linear(hidden, 3 * hidden, bias=False)
        self.w_f = nn.Linear(embedding, hidden)
        self.u_f = nn.Linear(hidden, hidden, bias=False)
        self.classifier = nn.Linear(hidden, classes)

    def forward(
        self, trees: Sequence[_Tree], recipe: Recipe | None, masks: Mapping[str, Array] | None
    ) -> Tensor:
        """The sum of the losses over all vertices of the trees.

        With a recipe its dropout acts, with masks by vertex from the caller, or else with drawn
        masks.
        """
        states: list[Tensor] = []
        p = (recipe.embedding_dropout, recipe.dropout) if recipe else (0.0, 0.0)
        for tree in trees:
            found: list[Any] = [None] * len(tree.children)
            x = self.embedding(tree.words)
            x = _drop(x, p[0], None if masks is None or not p[0] else masks[WORD][tree.leaves])
            leaves = self.w_iou(x).split(1)
            for root in tree.roots:
                self.visit(tree, root, leaves, found)
            states += found
        labels = torch.cat([tree.labels for tree in trees])
        h = _drop(torch.cat(states), p[1], None if masks is None else masks[STATE])
        logits = self.classifier(h)
        return nn.functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")

    def visit(self, tree: _Tree, vertex: int, leaves: Sequence[Tensor], found: list[Any]) -> State:
        """The state of a vertex, its children's first; puts h of each of them into `found`."""
        children = tree.children[vertex]
        if children:
            h, c = self.inner([self.visit(tree, child, leaves, found) for child in children])
        else:
            i, o, u = leaves[tree.leaf_number[vertex]].chunk(3, 1)
            c = torch.sigmoid(i) * torch.tanh(u)
            h = torch.sigmoid(o) * torch.tanh(c)
        found[vertex] = h
        return h, c

    def inner(self, states: Sequence[State]) -> State:
        child_h = torch.cat([h for h, _ in states])
        child_c = torch.cat([c for _, c in states])
        iou = self.w_iou.bias + self.u_iou(child_h.sum(0, keepdim=True))
        i, o, u = iou.chunk(3, 1)
        f = torch.sigmoid(self.w_f.bias + self.u_f(child_h))
        c = torch.sigmoid(i) * torch.tanh(u) + (f * child_c).sum(0, keepdim=True)
        return torch.sigmoid(o) * torch.tanh(c), c


def _drop(x: Tensor, p: float, given: Array | None) -> Tensor:
    if not p:
        return x
    if given is not None:
        return x * torch.from_numpy(given) * (1 / (1 - p))
    return x * torch.empty_like(x).uniform_().ge_(p).mul_(1 / (1 - p))


class TorchNodes:
    """Trains and runs the model; trees are Python objects that are made beforehand.

    Args:
        state: parameters by the names of `cavs.models.ChildSumTreeLSTM`; copied.
    """

    def __init__(
        self, state: Mapping[str, Array], batches: Sequence[PeerBatch], recipe: Recipe
    ) -> None:
        self.recipe = recipe
        sizes = [*state["embedding.weight"].shape, *state["classifier.weight"].shape[::-1]]
        self._module = _Module(*sizes)
        tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
        self._module.load_state_dict(tensors)
        # This states the default: otherwise torch warns in Adagrad's sparse update.
        torch.sparse.check_sparse_tensor_invariants.disable()
        embedding = list(self._module.embedding.parameters())
        others = [p for n, p in self._module.named_parameters() if n != "embedding.weight"]
        self._decayed = [self._module.u_iou.weight, self._module.u_f.weight, self._module.w_f.bias]
        groups = [
            {"params": others, "lr": recipe.lr, "weight_decay": recipe.weight_decay},
            {"params": embedding, "lr": recipe.embedding_lr},
        ]
        self._optimizer = torch.optim.Adagrad(groups, eps=1e-10)
        self._batches = [
            [_Tree(batch, *ends) for ends in zip(batch.ptr[:-1], batch.ptr[1:], strict=True)]
            for batch in batches
        ]

    def _batch(self, number: int) -> list[_Tree]:
        return self._batches[number % len(self._batches)]

    def train_step(self, number: int) -> float:
        return self._train(number, None)

    def train_with(self, number: int, masks: Mapping[str, Array]) -> float:
        return self._train(number, masks)

    def _train(self, number: int, masks: Mapping[str, Array] | None) -> float:
        trees = self._batch(number)
        self._optimizer.zero_grad()
        loss = self._module(trees, self.recipe, masks)
        if self.recipe.mean:
            loss = loss / len(trees)
        loss.backward()
        for parameter in self._decayed if self.recipe.weight_decay else ():
            if parameter.grad is None:  # no inner vertex in the batch: decay acts all the same
                parameter.grad = torch.zeros_like(parameter)
        self._optimizer.step()
        loss.item()
        return float(len(trees))

    def infer_step(self, number: int) -> float:
        self.loss(number)
        return float(len(self._batch(number)))

    def loss(self, number: int, masks: Mapping[str, Array] | None = None) -> float:
        with torch.inference_mode():
            return float(self._forward(number, masks))

    def gradients(
        self, number: int, masks: Mapping[str, Array] | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        self._optimizer.zero_grad()
        self._forward(number, masks).backward()
        found = {}
        for name, parameter in self._module.named_parameters():
            grad = parameter.grad
            if grad is not None:
                dense = grad.coalesce().values() if grad.is_sparse else grad
                found[name] = dense.numpy().copy()
        self._optimizer.zero_grad()
        return found

    def _forward(self, number: int, masks: Mapping[str, Array] | None) -> Tensor:
        recipe = None if masks is None else self.recipe
        return self._module(self._batch(number), recipe, masks)
