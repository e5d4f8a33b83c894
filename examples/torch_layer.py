"""A Tree-LSTM as a layer between modules of PyTorch: an encoder of words below, a head above."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import torch

import cavs
import cavs.torch
from cavs import data, nn, ops


class TreeLSTM(cavs.VertexFunction):
    """Child-sum Tree-LSTM (Tai et al. 2015) over vectors that a module of PyTorch makes."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.hidden_size = hidden_size
        self.w_iou = nn.Linear(input_size, 3 * hidden_size)
        self.u_iou = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.w_f = nn.Linear(input_size, hidden_size)
        self.u_f = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.w_f.weight.shape[1])
        children = v.gather(h=self.hidden_size, c=self.hidden_size)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(children.h.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(children.h))
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        v.push(h=h)


class Classifier(torch.nn.Module):
    """Encoder, Tree-LSTM and head; gives a score per vertex and class."""

    def __init__(self, vocab_size: int, hidden_size: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size + 1, hidden_size, padding_idx=0)
        self.encoder = torch.nn.Sequential(
            torch.nn.Linear(hidden_size, hidden_size), torch.nn.Tanh()
        )
        self.tree = cavs.torch.Layer(TreeLSTM(hidden_size, hidden_size))
        self.head = torch.nn.Sequential(
            torch.nn.Dropout(0.1), torch.nn.Linear(hidden_size, num_classes)
        )

    def forward(self, graphs: cavs.GraphBatch, word: torch.Tensor) -> torch.Tensor:
        x = self.encoder(self.embedding(word + 1))  # inner vertices have no word, id -1
        scores: torch.Tensor = self.head(self.tree(graphs, x=x)["h"])
        return scores


def collate(trees: data.Dataset, indices: list[int]) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Trees as one batch; a worker of the DataLoader may do it."""
    graphs, inputs = trees.batch(indices)
    return graphs, torch.from_numpy(inputs["word"]), torch.from_numpy(inputs["label"])


def loader(trees: data.Dataset, batch_size: int, **options: Any) -> Any:
    return torch.utils.data.DataLoader(
        range(len(trees)),
        batch_size,
        collate_fn=partial(collate, trees),
        **options,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of a treebank (default: ListOps expressions)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--trees", type=int, default=5000, help="ListOps expressions")
    parser.add_argument("--hidden-size", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    options = parser.parse_args()

    torch.manual_seed(0)
    corpus = data.load_sst(options.data) if options.data else data.listops_corpus(options.trees)
    vocabulary = data.tree_vocabulary(corpus.train)
    workers = {"num_workers": options.workers}
    train = loader(data.tree_dataset(corpus.train, vocabulary), 25, shuffle=True, **workers)
    dev = loader(data.tree_dataset(corpus.dev, vocabulary), 256, **workers)

    model = Classifier(len(vocabulary), options.hidden_size, corpus.num_classes)
    model.to(options.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(options.epochs):
        model.train()
        total = 0.0
        for graphs, word, label in train:
            scores, label = model(graphs, word.to(options.device)), label.to(options.device)
            loss = torch.nn.functional.cross_entropy(
                scores, label.long(), ignore_index=-1, reduction="sum"
            )
            optimizer.zero_grad()
            (loss / graphs.num_graphs).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        right = 0
        model.eval()
        with torch.no_grad():
            for graphs, word, label in dev:
                roots = torch.from_numpy(graphs.roots)
                classes = model(graphs, word.to(options.device)).argmax(1).cpu()
                right += int((classes == label)[roots].sum())
        print(
            f"epoch {epoch + 1}: loss {total / len(corpus.train):.4f} per tree, "
            f"dev root accuracy {100 * right / len(corpus.dev):.2f} %"
        )


if __name__ == "__main__":
    main()
