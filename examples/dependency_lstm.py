"""A Tree-LSTM over dependency trees that guesses the root word from all the others.

The cell is the child-sum Tree-LSTM of Tai, Socher and Manning, *Improved Semantic Representations
From Tree-Structured Long Short-Term Memory Networks* (ACL 2015). The relation on the edge to a
child says what the child's state goes through, as in the dependency tree networks of Socher et al.,
*Grounded Compositional Semantics for Finding and Describing Images with Sentences* (TACL 2014): a
matrix, or a vector that it is multiplied with.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

import cavs
from cavs import data, nn, ops

NOUNS = ("mouse", "cat", "dog", "horse", "elephant")  # by size
ADJECTIVES = ("little", "grey", "big")  # make a noun as small, or large, as the next one


class DependencyLSTM(cavs.VertexFunction):
    """h~_k = R_{r(k)} h_k for the child k in relation r(k), and with these the cell of Tai et al.

    Inputs: ``word`` and ``label`` of vertices, ``relation`` of edges, int32. ``kind`` is ``matrix``
    or ``vector``: R is a whole matrix or a diagonal. All R are the identity before training.
    """

    def __init__(self, words: int, relations: int, classes: int, size: int, kind: str) -> None:
        self.size = size
        start = np.eye(size) if kind == "matrix" else np.ones(size)
        self.shape = start.shape
        rows = np.tile(start.ravel(), (relations, 1))
        self.relation = nn.Embedding(relations, start.size, values=rows)
        self.embedding = nn.Embedding(words, size, std=0.3)
        self.w_iou = nn.Linear(size, 3 * size)
        self.u_iou = nn.Linear(size, 3 * size, bias=False)
        self.w_f = nn.Linear(size, size)
        self.u_f = nn.Linear(size, size, bias=False)
        self.classifier = nn.Linear(size, classes)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        children = v.gather(h=self.size, c=self.size)  # a row for each child
        r = ops.reshape(self.relation(v.pull_edge("relation", dtype="int32")), self.shape)
        below = r * children.h if len(self.shape) == 1 else ops.matmul(r, children.h)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(below.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(below))
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        logits = self.classifier(h)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


def phrase(rng: np.random.Generator, relation: str) -> tuple[int, list[tuple[str, str]]]:
    """How large a noun phrase is, and its words with their relations; the noun comes last."""
    noun, adjective, owner = rng.integers([len(NOUNS), len(ADJECTIVES), len(NOUNS)])
    words = [("the", "det"), (NOUNS[owner], "nmod:poss"), (ADJECTIVES[adjective], "amod")]
    return int(noun + adjective), [*words, (NOUNS[noun], relation)]


def sentence(rng: np.random.Generator) -> data.AnnotatedTree:
    """Such as "the dog's little cat flees the mouse's grey horse", without 's: the larger chases.

    Only the relations say who is who, as a sum over children has no order, and that the size of the
    owners does not matter.
    """
    (subject, left), (object_, right) = phrase(rng, "nsubj"), phrase(rng, "obj")
    verb = "chases" if subject > object_ else "flees" if subject < object_ else "meets"
    words, relations = zip(*left, (verb, None), *right, strict=True)
    root, last = len(left), len(words) - 1
    parents = [root - 1] * (root - 1) + [root, -1] + [last] * (len(right) - 1) + [root]
    graph = cavs.InputGraph.from_parents(parents)
    return data.AnnotatedTree(graph, words, (None,) * len(words), relations)


def hide_root(tree: data.AnnotatedTree, classes: data.Vocabulary) -> data.AnnotatedTree:
    """The tree without its root word, which becomes the root's label, if it is a class."""
    tokens: list[str | None] = list(tree.tokens)
    labels: list[str | None] = [None] * tree.num_vertices
    word, tokens[tree.root] = tokens[tree.root], None
    labels[tree.root] = word if word in classes else None
    return dataclasses.replace(tree, tokens=tuple(tokens), labels=tuple(labels))


def accuracy(model: cavs.Model, loader: data.Loader) -> float:
    """The share of the root words that are guessed, in percent."""
    right = 0
    with cavs.no_grad():
        for graphs, inputs, targets in loader:
            logits = model.eval()(graphs, outputs=["logits"], **inputs)["logits"].numpy()
            right += int(np.sum((logits.argmax(axis=1) == targets["label"])[graphs.roots]))
    return 100 * right / len(loader.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a .conllu file (default: generated sentences)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=2000, help="generated ones to train on")
    parser.add_argument("--hidden-size", type=int, default=32)
    parser.add_argument("--relation", choices=("matrix", "vector"), default="matrix")
    options = parser.parse_args()

    if options.data:
        trees = data.read_conllu(options.data)
    else:
        rng = np.random.default_rng(0)
        trees = [sentence(rng) for _ in range(options.sentences * 5 // 4)]
    cut = len(trees) * 4 // 5
    roots = (tree.tokens[tree.root] for tree in trees[:cut])
    classes = data.Vocabulary.from_tokens(roots, min_count=2, specials=(), unknown=None)
    trees = [hide_root(tree, classes) for tree in trees]
    words, _, relations = data.annotated_vocabularies(trees[:cut])
    dataset = data.annotated_dataset(trees, words, labels=classes, relations=relations)
    train = data.Loader(dataset.subset(range(cut)), 25, shuffle=True)
    dev = data.Loader(dataset.subset(range(cut, len(trees))), 256, cache=True, targets=["label"])

    sizes = (len(words), len(relations), len(classes), options.hidden_size)
    model = cavs.compile(DependencyLSTM(*sizes, options.relation))
    optimizer = cavs.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(options.epochs):
        model.train()
        total = 0.0
        for graphs, inputs in train:
            loss = model(graphs, **inputs)["loss"].sum()
            optimizer.zero_grad()
            (loss * (1 / graphs.num_graphs)).backward()
            optimizer.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1}: loss {total / cut:.3f} per sentence, "
            f"{accuracy(model, dev):.1f} % of the root words of unseen ones guessed",
            flush=True,
        )


if __name__ == "__main__":
    main()
