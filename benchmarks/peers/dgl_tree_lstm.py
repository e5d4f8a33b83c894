"""The child-sum Tree-LSTM in DGL: a frontier of the batched trees at a time, in topological order.

The trees are DGL graphs that are made beforehand; a step batches them, as a data loader does. Kind
to DGL where that costs the user nothing: words are projected for all leaves at once, inner vertices
have no projection, messages are summed by a built-in function, and the classifier and the loss run
once over all vertices.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dgl
import numpy as np
import numpy.typing as npt
import torch
from peers.protocol import Array, PeerBatch
from torch import nn

from cavs.bench.recipes import Recipe

Tensor = Any


class _Cell(nn.Module):
    def __init__(self, vocab_size: int, embedding: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(vocab_size, embedding, sparse=True)
        self.w_iou = nn.Linear(embedding, 3 * hidden)
        self.u_iou = nn.Linear(hidden, 3 * hidden, bias=False)
        self.w_f = nn.Linear(embedding, hidden)
        self.u_f = nn.Linear(hidden, hidden, bias=False)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, graph: Any) -> Tensor:
        """The sum of the losses over all vertices of the batched graph."""
        word = graph.ndata["word"]
        leaves = (word >= 0).nonzero().squeeze(1)
        projected = self.w_iou(self.embedding(word[leaves]))
        iou = self.w_iou.bias.repeat(graph.num_nodes(), 1)
        graph.ndata["iou"] = iou.index_copy(0, leaves, projected)
        for name, size in (("sum", 2), ("h", 1), ("c", 1)):
            graph.ndata[name] = torch.zeros(graph.num_nodes(), size * self.hidden)
        dgl.prop_nodes_topo(
            graph, self.message, dgl.function.sum("state", "sum"), apply_node_func=self.apply_node
        )
        logits = self.classifier(graph.ndata["h"])
        label = graph.ndata["label"]
        return nn.functional.cross_entropy(logits, label, ignore_index=-1, reduction="sum")

    def message(self, edges: Any) -> dict[str, Tensor]:
        """The message of a child to its parent: h and f * c, side by side."""
        h, c = edges.src["h"], edges.src["c"]
        f = torch.sigmoid(self.w_f.bias + self.u_f(h))
        return {"state": torch.cat([h, f * c], 1)}

    def apply_node(self, nodes: Any) -> dict[str, Tensor]:
        """A frontier's states from the messages of its children; zeros without children."""
        sum_h, sum_c = nodes.data["sum"].chunk(2, 1)
        i, o, u = (nodes.data["iou"] + self.u_iou(sum_h)).chunk(3, 1)
        c = torch.sigmoid(i) * torch.tanh(u) + sum_c
        return {"h": torch.sigmoid(o) * torch.tanh(c), "c": c}


class DGLTreeLSTM:
    """Trains and runs the model.

    Args:
        state: parameters by the names of `cavs.models.ChildSumTreeLSTM`; copied.
    """

    def __init__(
        self, state: Mapping[str, Array], batches: Sequence[PeerBatch], recipe: Recipe
    ) -> None:
        self.recipe = recipe
        # A frontier of leaves has no edges; DGL warns each time that a function of ours sees it.
        warnings.filterwarnings("ignore", message=".*does not contain valid edges")
        torch.sparse.check_sparse_tensor_invariants.disable()
        sizes = [*state["embedding.weight"].shape, *state["classifier.weight"].shape[::-1]]
        self._cell = _Cell(*sizes)
        tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
        self._cell.load_state_dict(tensors)
        parameters = self._cell.parameters()
        self._optimizer = torch.optim.Adagrad(parameters, lr=recipe.lr, eps=1e-10)
        self._batches = [_graphs(batch) for batch in batches]

    def _batch(self, number: int) -> list[Any]:
        return self._batches[number % len(self._batches)]

    def train_step(self, number: int) -> float:
        graphs = self._batch(number)
        self._optimizer.zero_grad()
        loss = self._cell(dgl.batch(graphs))
        loss.backward()
        self._optimizer.step()
        loss.item()
        return float(len(graphs))

    def infer_step(self, number: int) -> float:
        self.loss(number)
        return float(len(self._batch(number)))

    def loss(self, number: int) -> float:
        with torch.no_grad():
            return float(self._cell(dgl.batch(self._batch(number))))

    def gradients(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        self._optimizer.zero_grad()
        self._cell(dgl.batch(self._batch(number))).backward()
        found = {}
        for name, parameter in self._cell.named_parameters():
            grad = parameter.grad
            if grad is not None:
                dense = grad.coalesce().values() if grad.is_sparse else grad
                found[name] = dense.numpy().copy()
        self._optimizer.zero_grad()
        return found


def _graphs(batch: PeerBatch) -> list[Any]:
    """The batch's graphs, edges from children to parents, words and labels on the vertices."""
    graphs = []
    for first, last in zip(batch.ptr[:-1], batch.ptr[1:], strict=True):
        ptr = batch.child_ptr[first : last + 1]
        children = torch.from_numpy(batch.children[ptr[0] : ptr[-1]] - first)
        parents = torch.from_numpy(np.repeat(np.arange(last - first), np.diff(ptr)))
        graph = dgl.graph((children, parents), num_nodes=int(last - first))
        for name in ("word", "label"):
            values = batch.inputs[name][first:last].astype(np.int64)
            graph.ndata[name] = torch.from_numpy(values)
        graphs.append(graph)
    return graphs
