"""Predictability minimisation: code units that learn not to be guessed from one another.

Schmidhuber, *Learning Factorial Codes by Predictability Minimization* (1992). A predictor of each
code unit sees the other units and learns to say its value; the units learn to be what predictors
cannot say, and to let the data come back from them. Where both succeed, the units are independent
and keep all that the data hold: a factorial code. The data are redundant: three independent bits,
each of which is seen three times. Codes of an autoencoder alone, which is trained beside for
comparison, often say the same thing twice.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

import cavs
from cavs import nn, ops
from cavs.nn.distributions import Bernoulli

UNITS, COPIES = 3, 3
#: All patterns of the data, each as likely as any other: (8, 9), each of three bits three times.
PATTERNS = np.array(list(itertools.product([0, 1], repeat=UNITS)), np.float32).repeat(
    COPIES, axis=1
)
VISIBLE = UNITS * COPIES


class Coder(cavs.VertexFunction):
    """Code units y = sigmoid(f(x)), and what says x of them, p(x | y) = Bernoulli(sigmoid(g(y))).

    Outputs per vertex: ``code``: (units,); ``lost``: () -log p(x | y).
    """

    def __init__(self, units: int) -> None:
        self.code = nn.Linear(VISIBLE, units)
        self.visible = nn.Linear(units, VISIBLE)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", VISIBLE)
        y = ops.sigmoid(self.code(x))
        v.push(code=y, lost=-ops.sum(Bernoulli(self.visible(y)).log_prob(x)))


class Predictors(cavs.VertexFunction):
    """Of each unit a network that sees the others, P_i(y): the unit's own value is hidden from it.

    Outputs per vertex: ``loss``: () sum over units of (y_i - P_i)^2.
    """

    def __init__(self, units: int, hidden_size: int) -> None:
        self.units = units
        self.hidden = [nn.Linear(units, hidden_size) for _ in range(units)]
        self.value = [nn.Linear(hidden_size, 1) for _ in range(units)]

    def forward(self, v: cavs.Vertex) -> None:
        y, error = v.pull("code", self.units), 0.0
        for i, (hidden, value) in enumerate(zip(self.hidden, self.value, strict=True)):
            others = 1.0 - np.eye(self.units, dtype=np.float32)[i]
            guess = ops.sigmoid(value(ops.tanh(hidden(y * others))))
            error = error + ops.sum(ops.squared_error(guess[0], y[i]))
        v.push(loss=error)


def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


def patterns(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, VISIBLE), drawn from the data."""
    return PATTERNS[rng.integers(0, len(PATTERNS), count)]


def train_predictors(model: cavs.Program, optimizer: cavs.optim.Optimizer, x: np.ndarray) -> float:
    """A step that leaves the code as it is. The predictors' error: the sum over units,
    the mean over `x`."""
    graph = points(len(x))
    with cavs.no_grad():
        code = model["coder"](graph, x=x)["code"].data
    step = model["predictors"].step
    return step(graph, optimizer, scale=1 / len(x), code=code).item()


def train_coder(
    model: cavs.Program, optimizer: cavs.optim.Optimizer, x: np.ndarray, weight: float
) -> float:
    """A step on what is lost of the data, less `weight` times the predictors' error: gradients flow
    through the predictors, not to them. What is lost."""
    model["predictors"].requires_grad_(False)
    graph = points(len(x))
    out = model["coder"](graph, x=x)
    error = model["predictors"](graph, code=out["code"])["loss"].mean()
    lost = out["lost"].mean()
    optimizer.zero_grad()
    (lost - error * weight).backward()
    optimizer.step()
    model["predictors"].requires_grad_(True)
    return lost.item()


def codes(model: cavs.Program) -> np.ndarray:
    """The code of each pattern, (patterns, units)."""
    with cavs.no_grad():
        return model["coder"](points(len(PATTERNS)), x=PATTERNS)["code"].data


def information(code: np.ndarray) -> tuple[float, float]:
    """What the code says by units above and below 1/2, in bits: H(y); and what it says twice, the
    sum of H(y_i) less H(y), which is 0 of independent units alone. All rows of `code` are as
    likely."""
    bits = code > 0.5
    together = entropy(np.unique(bits, axis=0, return_counts=True)[1])
    alone = sum(entropy(np.bincount(unit, minlength=2)) for unit in bits.T.astype(int))
    return together, alone - together


def entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def shared(code: np.ndarray) -> np.ndarray:
    """The mutual information of each two units, on the diagonal the entropy of each, in bits."""
    pairs = [[information(code[:, [i, j]]) for j in range(UNITS)] for i in range(UNITS)]
    return np.array([[twice for _, twice in row] for row in pairs])


def draw(path: str, codes_by_weight: dict[float, list[np.ndarray]]) -> None:
    """A picture of what units share: a row for each weight, a column for each seed."""
    import matplotlib.pyplot as plt

    columns = max(len(found) for found in codes_by_weight.values())
    size = (1.6 * columns, 1.8 * len(codes_by_weight))
    figure, rows = plt.subplots(len(codes_by_weight), columns, figsize=size, squeeze=False)
    for row, (weight, found) in zip(rows, codes_by_weight.items(), strict=True):
        for axes, code in zip(row, found, strict=True):
            axes.imshow(shared(code), vmin=0, vmax=1, cmap="Blues")
            axes.set(xticks=[], yticks=[], title=f"weight {weight:g}")
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)


def make_model(units: int, hidden_size: int) -> cavs.VertexProgram:
    return cavs.VertexProgram({"coder": Coder(units), "predictors": Predictors(units, hidden_size)})


def train(weight: float, seed: int, steps: int, batch_size: int, hidden_size: int) -> np.ndarray:
    """The code of each pattern, of a newly trained model."""
    nn.init.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = cavs.compile(make_model(UNITS, hidden_size))
    learns = cavs.optim.Adam(model["coder"].parameters(), lr=2e-2)
    guesses = cavs.optim.Adam(model["predictors"].parameters(), lr=2e-2)
    for _ in range(steps):
        error = train_predictors(model, guesses, patterns(rng, batch_size))
        lost = train_coder(model, learns, patterns(rng, batch_size), weight)
    found = codes(model)
    said, twice = information(found)
    print(
        f"weight {weight:g}, seed {seed}: lost {lost:.3f} nats, predictors' error {error:.3f}, "
        f"the code says {said:.3f} of {UNITS} bits, and twice {twice:.3f}",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400, help="of each side")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--hidden-size", type=int, default=16, help="of predictors")
    parser.add_argument("--weight", type=float, default=4.0, help="of the predictors' error")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", help="a picture of what units share: .png (takes matplotlib)")
    options = parser.parse_args()
    sizes = (options.steps, options.batch_size, options.hidden_size)
    found = {
        weight: [train(weight, seed, *sizes) for seed in range(options.seeds)]
        for weight in (0.0, options.weight)
    }
    if options.output:
        draw(options.output, found)


if __name__ == "__main__":
    main()
