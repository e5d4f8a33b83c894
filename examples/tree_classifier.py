"""A vertex function of one's own, trained on trees: a recursive network with attention."""

from __future__ import annotations

import argparse

import numpy as np

import cavs
from cavs import data, nn, ops


class AttentiveTree(cavs.VertexFunction):
    """h = tanh(W x + U sum_k a_k h_k), where a = softmax over the children of q . tanh(V h_k)."""

    def __init__(self, vocab_size: int, hidden_size: int, num_classes: int) -> None:
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.w = nn.Linear(hidden_size, hidden_size)
        self.u = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.query = nn.Linear(hidden_size, 1, bias=False)
        self.classifier = nn.Linear(hidden_size, num_classes)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h_children = v.gather(h=self.hidden_size).h  # one row for each child
        weights = self.query(ops.tanh(self.key(h_children))).softmax()  # over the children
        h = ops.tanh(self.w(x) + self.u((weights * h_children).sum()))
        v.scatter(h=h)
        logits = self.classifier(h)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of a treebank (default: ListOps expressions)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--trees", type=int, default=5000, help="ListOps expressions")
    options = parser.parse_args()

    corpus = data.load_sst(options.data) if options.data else data.listops_corpus(options.trees)
    vocabulary = data.tree_vocabulary(corpus.train)
    train = data.Loader(data.tree_dataset(corpus.train, vocabulary), 25, shuffle=True)
    dev = data.Loader(data.tree_dataset(corpus.dev, vocabulary), 256, cache=True)

    model = cavs.compile(AttentiveTree(len(vocabulary), 100, corpus.num_classes))
    optimizer = cavs.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(options.epochs):
        model.train()
        total = 0.0
        for graphs, inputs in train:
            loss = model(graphs, **inputs)["loss"].sum()
            optimizer.zero_grad()
            (loss * (1 / graphs.num_graphs)).backward()
            optimizer.step()
            total += loss.item()
        right = 0
        model.eval()
        with cavs.no_grad():
            for graphs, inputs in dev:
                predicted = model(graphs, **inputs)["logits"].numpy().argmax(axis=1)
                right += int(np.sum((predicted == inputs["label"])[graphs.roots]))
        print(
            f"epoch {epoch + 1}: loss {total / len(corpus.train):.4f} per tree, "
            f"dev root accuracy {100 * right / len(corpus.dev):.2f} %"
        )


if __name__ == "__main__":
    main()
