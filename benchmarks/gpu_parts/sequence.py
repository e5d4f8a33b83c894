"""Training steps of the LSTM language model and of the autoencoder beside PyTorch's, which has
cuDNN's LSTM: the sizes are those of `benchmarks/generative.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cavs
from cavs.data import chain_graph
from cavs.models import VAE, LSTMLanguageModel
from cavs.nn.estimators import importance_weighted_bound
from gpu_parts.trees import per_step
from gpu_parts.turns import PEER, Budget, rates, waiting_for

Step = Callable[[int], object]


class LanguageModel:
    """Steps over `size` pieces of `length` words, two layers, by clipped SGD; embeddings sparse in
    both."""

    name, sizes, tolerance = "lstm-lm, 2 x 200, 20 x 20 words", (10_000, 200, 20, 20), 1e-3
    quick = (50, 8, 4, 3)

    def __init__(self, device: str, sizes: tuple[int, ...]) -> None:
        words, hidden, length, self.size = sizes
        cavs.nn.init.manual_seed(0)
        self._function = LSTMLanguageModel(words, hidden, 2)
        self._state = {n: np.array(p.data) for n, p in self._function.named_parameters()}
        self._hidden, self._device = hidden, device
        self._model = cavs.compile(self._function, device=device, outputs=["loss", "state"])
        self._optimizer = cavs.optim.SGD(self._model.parameters(), lr=1.0)
        self._graphs = cavs.batch([chain_graph(length)] * self.size)
        generator = np.random.default_rng(0)
        share = 1 / np.arange(1, words + 1)
        shape = self.size, length + 1
        text = generator.choice(words, shape, p=share / share.sum()).astype(np.int32)
        self._word, self._label = text[:, :-1].copy(), text[:, 1:].copy()
        first = np.zeros((self.size, length), np.float32)
        first[:, 0] = 1
        state = np.zeros((self.size, self._function.state_size), np.float32)
        words_given = {"word": self._word.ravel(), "label": self._label.ravel()}
        self._given = {**words_given, "first": first.ravel(), "state": state}

    def step(self, _: int) -> Any:
        options = {"scale": 1 / self.size, "clip_norm": 5.0}
        return self._model.step(self._graphs, self._optimizer, **options, **self._given)

    def peer(self) -> Step:
        import torch
        from torch import nn

        device, hidden, state = self._device, self._hidden, self._state
        words = len(state["embedding.weight"])
        embedding = nn.Embedding(words, hidden, sparse=True)
        lstm, out = nn.LSTM(hidden, hidden, 2), nn.Linear(hidden, words)
        named = {"weight_ih": "w.{}.weight", "bias_ih": "w.{}.bias", "weight_hh": "u.{}.weight"}
        with torch.no_grad():
            embedding.weight.copy_(torch.from_numpy(state["embedding.weight"]))
            for layer in range(2):
                for theirs, ours in named.items():
                    array = torch.from_numpy(state[ours.format(layer)])
                    getattr(lstm, f"{theirs}_l{layer}").copy_(array)
                getattr(lstm, f"bias_hh_l{layer}").zero_()
            out.weight.copy_(torch.from_numpy(state["next_word.weight"]))
            out.bias.copy_(torch.from_numpy(state["next_word.bias"]))
        for module in (embedding, lstm, out):
            module.to(device)
        dense = [*lstm.parameters(), *out.parameters()]
        optimizer = torch.optim.SGD([*embedding.parameters(), *dense], lr=1.0)
        x = torch.from_numpy(self._word.T.copy()).long().to(device)
        y = torch.from_numpy(self._label.T.copy()).long().to(device)

        def step(_: int) -> Any:
            cross = nn.functional.cross_entropy
            logits = out(lstm(embedding(x))[0]).reshape(-1, words)
            loss = cross(logits, y.reshape(-1), reduction="sum") / self.size
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(dense, 5.0)
            optimizer.step()
            return loss.detach()

        return step


class Autoencoder:
    """Steps of Adam over batches of 100 images, with as many ones as in MNIST."""

    name, sizes, tolerance = "vae, batch 100", (784, 200, 50, 100), 0.05
    quick = (12, 8, 4, 5)

    def __init__(self, device: str, sizes: tuple[int, ...]) -> None:
        image, hidden, latent, self.size = sizes
        cavs.nn.init.manual_seed(0)
        function = VAE(image, hidden, latent)
        self._state = {n: np.array(p.data) for n, p in function.named_parameters()}
        self._device = device
        x = (np.random.default_rng(0).random((self.size, image)) < 0.13).astype(np.float32)
        self._x = x
        self._model = cavs.compile(function, device=device, outputs=["log_weight"], seed=0)
        self._optimizer = cavs.optim.Adam(self._model.parameters(), lr=1e-3)
        self._graphs = cavs.batch([cavs.InputGraph([[]])] * self.size)

    def step(self, _: int) -> Any:
        found = self._model(self._graphs, image=self._x)["log_weight"]
        loss = -importance_weighted_bound(found.reshape(self.size, 1)).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss

    def peer(self) -> Step:
        import torch
        from torch import nn

        def linear(name: str) -> Any:
            weight, bias = self._state[f"{name}.weight"], self._state[f"{name}.bias"]
            copy = nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                copy.weight.copy_(torch.from_numpy(weight))
                copy.bias.copy_(torch.from_numpy(bias))
            return copy

        def layers(*names: str) -> Any:
            first, second, last = map(linear, names)
            return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), last).to(self._device)

        encoder = layers("encoder1", "encoder2", "posterior")
        decoder = layers("decoder1", "decoder2", "pixels")
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
        images = self._x

        def step(_: int) -> Any:
            # Both copy the images in each step.
            x = torch.from_numpy(images).to(self._device, non_blocking=True)
            mean, log_std = encoder(x).chunk(2, -1)
            epsilon = torch.randn_like(mean)
            z = mean + log_std.exp() * epsilon
            cross = nn.functional.binary_cross_entropy_with_logits
            log_p = -cross(decoder(z), x, reduction="none").sum(-1)
            rest = 0.5 * (epsilon.square() - z.square()).sum(-1) + log_std.sum(-1)
            loss = -(log_p + rest).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step


MODELS = (LanguageModel, Autoencoder)


def rows(model: Any, options: argparse.Namespace, budget: Budget) -> Iterator[dict[str, Any]]:
    """Figures of a model, and of PyTorch where it can take part and has the same loss."""
    ours = model(options.device, model.quick if options.quick else model.sizes)
    works: dict[str, Step] = {"cavs": ours.step}

    def add_peer() -> None:
        theirs = ours.peer()
        losses = [float(step(0).item()) for step in (ours.step, theirs)]
        if not np.isclose(*losses, rtol=model.tolerance):
            raise ArithmeticError(f"expected equal losses, got {losses}")
        works[PEER] = theirs

    budget.attempt(f"{model.name}, {PEER}", add_peer)
    wait = waiting_for(options.device, *works)
    for contender, turns in rates(works, wait, 8, options.seconds).items():
        rate = float(np.median(turns))
        row = {"model": model.name, "contender": contender, "mode": "train", "batches": "kept"}
        row |= {"hidden": None, "batch": ours.size, "ms_per_step": 1e3 / rate}
        row["per_second"] = ours.size * rate
        own = waiting_for(options.device)
        yield row | (per_step(own, ours.step, 8) if contender == "cavs" else {})
