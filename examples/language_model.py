"""An LSTM language model: sentences are chains, and each vertex predicts the next word."""

from __future__ import annotations

import argparse
import math

import numpy as np

import cavs
from cavs import data
from cavs.models import LSTM


def perplexity(model: cavs.Model, loader: data.Loader) -> float:
    """exp of the mean loss of a word."""
    total, words = 0.0, 0
    model.eval()
    with cavs.no_grad():
        for chains, inputs in loader:
            total += model(chains, **inputs)["loss"].sum().item()
            words += int(np.sum(inputs["label"] >= 0))
    return math.exp(total / words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with train, valid and test .txt")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--sentences", type=int, help="read so many only")
    options = parser.parse_args()

    corpus = data.load_ptb(options.data)
    vocabulary = data.language_model_vocabulary(corpus.train)
    train, valid = (
        data.language_model_dataset(split[: options.sentences], vocabulary)
        for split in (corpus.train, corpus.dev)
    )
    size = len(vocabulary)
    model = cavs.compile(LSTM(size, options.hidden_size, options.hidden_size, size, dropout=0.2))
    optimizer = cavs.optim.Adam(model.parameters(), lr=2e-3)
    # Sentences of like length in a batch: fewer levels with few rows.
    loader = data.Loader(train, 32, shuffle=True, size_window=20)
    for epoch in range(options.epochs):
        model.train()
        for chains, inputs in loader:
            loss = model(chains, **inputs)["loss"].sum()
            optimizer.zero_grad()
            (loss * (1 / chains.num_graphs)).backward()
            cavs.optim.clip_grad_norm(model.parameters(), 5.0)
            optimizer.step()
        print(
            f"epoch {epoch + 1}: valid perplexity {perplexity(model, data.Loader(valid, 64)):.1f}"
        )


if __name__ == "__main__":
    main()
