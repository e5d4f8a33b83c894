"""Training that diverges: what is not finite is named, and changes nothing."""

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.data import Dataset, Loader
from cavs.errors import NonFiniteError
from cavs.training import Classification, Trainer, TrainingConfig, evaluate


def make_config(**changes: Any) -> TrainingConfig:
    settings = {"epochs": 3, "batch_size": 25, "lr": 0.05, "clip_norm": 5.0, "lr_decay": 0.9}
    return TrainingConfig(**{**settings, **changes})


class Exploding(cavs.VertexFunction):
    """Its outputs overflow after some steps of ascent; `hidden` overflows first."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.ones(3, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        hidden = v.pull("x", 3) * self.w
        v.push(hidden=hidden, logits=hidden)
        v.push(loss=ops.cross_entropy(ops.log(hidden), v.pull("label", dtype="int32")))


def test_what_is_not_finite_is_named() -> None:
    x = np.ones((4, 3), np.float32)
    x[2, 1] = -1.0
    data = Dataset(
        [cavs.InputGraph(children=[[]]) for _ in range(4)],
        vertex={"x": x, "label": np.zeros(4, np.int32)},
    )
    model = cavs.compile(Exploding())
    config = make_config(batch_size=4, epochs=2, embedding_lr=0.1)
    with pytest.raises(
        NonFiniteError,
        match=r"step 1 \(epoch 1, batch 1\): .* 'loss' of graph 2, .* from log at .*py:\d+",
    ):
        Trainer(model, Classification(), Loader(data, 4), Loader(data, 4), config).fit()
    with pytest.raises(
        NonFiniteError, match=r"\[evaluate\] in batch 0: .* in output 'loss' of graph 2, vertex 0"
    ):
        evaluate(model, [data.batch(np.arange(4))])
    assert model.training


class Steep(cavs.VertexFunction):
    """A finite loss, the gradient of which is infinite."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.zeros(3, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        logits = ops.sqrt(v.pull("x", 3) * self.w)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


def test_gradients_that_are_not_finite_change_nothing() -> None:
    vertex = {"x": np.ones((4, 3), np.float32), "label": np.zeros(4, np.int32)}
    data = Dataset([cavs.InputGraph(children=[[]]) for _ in range(4)], vertex=vertex)
    model = cavs.compile(Steep())
    config = make_config(batch_size=4, epochs=2, clip_norm=1.0)
    trainer = Trainer(model, Classification(), Loader(data, 4), Loader(data, 4), config)
    with pytest.raises(
        NonFiniteError, match=r"step 1 \(epoch 1, batch 1\): .*finite gradient .*'w'"
    ):
        trainer.fit()
    assert not model.parameters()[0].data.any()
