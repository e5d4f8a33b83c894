"""How related two sentences are, from 1 to 5, by the head of Tai et al. over two trees.

Tai, Socher and Manning, *Improved Semantic Representations From Tree-Structured Long Short-Term
Memory Networks* (ACL 2015), section 4.2: a Tree-LSTM encodes both sentences, a network compares the
states of their roots, and the score is the mean of a distribution over 1, 2, ..., 5.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy import typing as npt

import cavs
from cavs import data, nn, ops

SCORES = np.arange(1, 6, dtype=np.float32)
# Two kinds of words, in each three meanings, of each two synonyms.
NOUNS = np.array(
    [
        [["dog", "hound"], ["cat", "kitten"], ["horse", "pony"]],
        [["man", "guy"], ["woman", "lady"], ["child", "kid"]],
    ]
)
VERBS = np.array(
    [
        [["sees", "notices"], ["hears", "overhears"], ["watches", "observes"]],
        [["chases", "pursues"], ["carries", "transports"], ["hugs", "embraces"]],
    ]
)


class Encoder(cavs.VertexFunction):
    """The child-sum Tree-LSTM, which pushes its states."""

    def __init__(self, vocab_size: int, embedding_size: int, hidden_size: int) -> None:
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(vocab_size, embedding_size, std=0.3)
        self.w_iou = nn.Linear(embedding_size, 3 * hidden_size)
        self.u_iou = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.w_f = nn.Linear(embedding_size, hidden_size)
        self.u_f = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        children = v.gather(h=self.hidden_size, c=self.hidden_size)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(children.h.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(children.h))
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        v.push(h=h)


class Head(nn.Module):
    """Equation 15 of the paper: log p of the scores, (pairs, 5), from the states of the roots."""

    def __init__(self, hidden_size: int, compared: int) -> None:
        self.product = nn.Linear(hidden_size, compared)
        self.difference = nn.Linear(hidden_size, compared, bias=False)
        self.scores = nn.Linear(compared, len(SCORES))

    def forward(self, left: cavs.Tensor, right: cavs.Tensor) -> cavs.Tensor:
        both = self.product(left * right) + self.difference(ops.abs(left - right))
        return ops.log_softmax(self.scores(ops.sigmoid(both)))


def targets(score: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The sparse distribution over the two nearest scores whose mean is `score`, (pairs, 5)."""
    return np.maximum(0, 1 - np.abs(score[:, None] - SCORES))


def divergence(log_p: cavs.Tensor, target: npt.NDArray[np.float32]) -> cavs.Tensor:
    """KL(target || p), summed over the pairs."""
    log_target = np.log(np.maximum(target, 1e-30))  # where it is 0, its product with 0 is too
    return (target * (log_target - log_p)).sum()


def tree(words: npt.NDArray[np.int64]) -> data.LabelledTree:
    """Of subject, verb and object, each as the numbers of its kind, meaning and synonym."""
    subject, verb, object_ = (tuple(word) for word in words)
    return data.parse_binary_tree(
        f"( ( a {NOUNS[subject]} ) ( {VERBS[verb]} ( a {NOUNS[object_]} ) ) )"
    )


def pair(rng: np.random.Generator) -> data.SentencePair:
    """A word is worth a third of the score where both mean the same, half of that by kind alone.

    The second sentence has other synonyms, and of some words other meanings or kinds; now and then
    subject and object change places.
    """
    left, other = rng.integers(NOUNS.shape, size=(2, 3, 3))
    right = np.where(np.arange(3) < rng.integers(3, size=(3, 1)), left, other)
    if rng.random() < 0.3:
        right = right[[2, 1, 0]]
    alike = np.cumprod(left[:, :2] == right[:, :2], axis=1)
    return data.SentencePair(tree(left), tree(right), score=float(1 + 4 * alike.mean()))


def pearson(encoder: cavs.Model, head: Head, loader: data.Loader) -> float:
    """Pearson's r between the scores and their expectations."""
    found, expected = [], []
    with cavs.no_grad():
        for graphs, inputs, pairs in loader:
            log_p = head(*cavs.readout_pairs(graphs, encoder(graphs, **inputs)["h"]))
            found.append(np.exp(log_p.numpy()) @ SCORES)
            expected.append(pairs["score"])
    return float(np.corrcoef(np.concatenate(found), np.concatenate(expected))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="SICK's file or folder (default: generated pairs)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=2000, help="generated pairs to train on")
    parser.add_argument("--hidden-size", type=int, default=64)
    options = parser.parse_args()

    if options.data:
        corpus = data.load_sick(options.data)
        train, dev = corpus.train, corpus.dev
    else:
        rng = np.random.default_rng(0)
        train, dev = ([pair(rng) for _ in range(n)] for n in (options.pairs, 500))
    words = data.pair_vocabulary(train)
    of_train, of_dev = (data.pair_dataset(pairs, words) for pairs in (train, dev))
    loader = data.Loader(of_train, 25, shuffle=True, targets=["score"])
    dev_loader = data.Loader(of_dev, 250, cache=True, targets=["score"])

    encoder = cavs.compile(Encoder(len(words), 50, options.hidden_size))
    head = Head(options.hidden_size, 50)
    optimizer = cavs.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
    for epoch in range(options.epochs):
        total = 0.0
        for graphs, inputs, pairs in loader:
            log_p = head(*cavs.readout_pairs(graphs, encoder(graphs, **inputs)["h"]))
            loss = divergence(log_p, targets(pairs["score"]))
            optimizer.zero_grad()
            (loss * (1 / len(pairs["score"]))).backward()
            optimizer.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1}: divergence {total / len(train):.3f} per pair, "
            f"of unseen ones Pearson's r {pearson(encoder, head, dev_loader):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
