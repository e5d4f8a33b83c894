"""The child-sum Tree-LSTM in PyTorch, one vertex at a time, differentiated by autograd.

What a user writes first: a recursion over the tree that calls modules on one row. Kind to PyTorch
where that costs the user nothing: a tree's words are looked up and projected in one call, inner
vertices have no projection, and the classifier and the loss run once over all vertices of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.protocol import Array, PeerBatch, UnsuitableError
from torch import nn

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

    def forward(self, trees: Sequence[_Tree]) -> Tensor:
        """The sum of the losses over all vertices of the trees."""
        states: list[Tensor] = []
        for tree in trees:
            found: list[Any] = [None] * len(tree.children)
            leaves = self.w_iou(self.embedding(tree.words)).split(1)
            for root in tree.roots:
                self.visit(tree, root, leaves, found)
            states += found
        labels = torch.cat([tree.labels for tree in trees])
        logits = self.classifier(torch.cat(states))
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


class TorchNodes:
    """Trains and runs the model; trees are Python objects that are made beforehand.

    Args:
        state: parameters by the names of `cavs.models.ChildSumTreeLSTM`; copied.
    """

    def __init__(
        self, state: Mapping[str, Array], batches: Sequence[PeerBatch], learning_rate: float
    ) -> None:
        sizes = [*state["embedding.weight"].shape, *state["classifier.weight"].shape[::-1]]
        self._module = _Module(*sizes)
        tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
        self._module.load_state_dict(tensors)
        # Says what is the default; torch warns in Adagrad's sparse update where nobody has said it.
        torch.sparse.check_sparse_tensor_invariants.disable()
        parameters = self._module.parameters()
        self._optimizer = torch.optim.Adagrad(parameters, lr=learning_rate, eps=1e-10)
        self._batches = [
            [_Tree(batch, *ends) for ends in zip(batch.ptr[:-1], batch.ptr[1:], strict=True)]
            for batch in batches
        ]

    def _batch(self, number: int) -> list[_Tree]:
        return self._batches[number % len(self._batches)]

    def train_step(self, number: int) -> float:
        trees = self._batch(number)
        self._optimizer.zero_grad()
        loss = self._module(trees)
        loss.backward()
        self._optimizer.step()
        loss.item()
        return float(len(trees))

    def infer_step(self, number: int) -> float:
        self.loss(number)
        return float(len(self._batch(number)))

    def loss(self, number: int) -> float:
        with torch.inference_mode():
            return float(self._module(self._batch(number)))

    def gradients(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        self._optimizer.zero_grad()
        self._module(self._batch(number)).backward()
        found = {}
        for name, parameter in self._module.named_parameters():
            grad = parameter.grad
            if grad is not None:
                dense = grad.coalesce().values() if grad.is_sparse else grad
                found[name] = dense.numpy().copy()
        self._optimizer.zero_grad()
        return found
