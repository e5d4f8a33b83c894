"""A lattice LSTM that tags characters: words are vertices too (Zhang & Yang 2018)."""

from __future__ import annotations

import argparse

import numpy as np

import cavs
from cavs import data
from cavs.models import LatticeLSTM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with train.txt and dev.txt")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden-size", type=int, default=64)
    options = parser.parse_args()

    corpus = data.load_lattices(options.data)
    train = data.Loader(data.lattice_dataset(corpus.train), 16, shuffle=True)
    dev = data.Loader(data.lattice_dataset(corpus.dev), 64, cache=True)

    sizes = corpus.num_characters, corpus.num_words, 50, options.hidden_size, corpus.num_tags
    model = cavs.compile(LatticeLSTM(*sizes, dropout=0.2))
    optimizer = cavs.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(options.epochs):
        model.train()
        total = 0.0
        for lattices, inputs in train:
            loss = model(lattices, **inputs)["loss"].sum()
            optimizer.zero_grad()
            (loss * (1 / lattices.num_graphs)).backward()
            optimizer.step()
            total += loss.item()
        right = tags = 0
        model.eval()
        with cavs.no_grad():
            for lattices, inputs in dev:
                predicted = model(lattices, **inputs)["logits"].numpy().argmax(axis=1)
                tags += int(np.sum(inputs["label"] >= 0))
                right += int(np.sum(predicted == inputs["label"]))
        print(
            f"epoch {epoch + 1}: loss {total / len(corpus.train):.3f} per lattice, "
            f"dev tag accuracy {100 * right / tags:.2f} %"
        )


if __name__ == "__main__":
    main()
