"""A layer's parameters have the names and the memory of those of cavs."""

import copy
from pathlib import Path

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, arrays, inputs
from torch_checks import assert_shared

import cavs
from cavs import nn
from cavs.models import ChildSumTreeLSTM
from cavs.training import TrainingRun, load_checkpoint, make_task
from cavs.training.tasks import Trained

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def test_names_and_memory_are_those_of_cavs() -> None:
    function = Cell()
    layer = Layer(function)
    assert_shared(layer)
    assert (
        set(layer.state_dict()) == set(function.state_dict()) == set(dict(layer.named_parameters()))
    )
    assert layer.function is function
    assert isinstance(layer.embedding.weight, torch.nn.Parameter)
    assert layer.get_submodule("layers.1").weight is layer.get_parameter("layers.1.weight")


class Odd(cavs.VertexFunction):
    """Names that torch's modules use themselves, and keys of dictionaries."""

    def __init__(self) -> None:
        self.type = nn.Linear(4, 4)
        self.training = [
            nn.Linear(4, 4),
            {"a b": nn.Linear(4, 4), "c.d": nn.Parameter(np.ones(4, np.float32))},
        ]
        self.model = nn.Parameter(np.ones(4, np.float32))
        self._parameters = nn.Linear(4, 4)
        self.half = self.type

    def forward(self, v: cavs.Vertex) -> None:
        x = self.half(self.type(v.pull("x", 4))) * self.model
        x = self.training[0](x) + self.training[1]["a b"](x) * self.training[1]["c.d"]
        v.push(y=self._parameters(x))


def test_any_names_that_cavs_takes() -> None:
    layer = Layer(Odd())
    assert set(layer.state_dict()) == set(layer.function.state_dict())
    x = torch.randn(GRAPHS.num_vertices, 4)
    layer(GRAPHS, x=x)["y"].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    copied = copy.deepcopy(layer)
    assert torch.equal(copied(GRAPHS, x=x)["y"], layer(GRAPHS, x=x)["y"])
    assert layer.double()(GRAPHS, x=x)["y"].dtype == torch.float64


def test_layers_of_one_function_share_parameters() -> None:
    function = Cell()
    first, second = Layer(function), Layer(function, outputs=["h"])
    both = torch.nn.ModuleList([first, second])
    assert len(list(both.parameters())) == len(list(first.parameters()))
    (first(GRAPHS, **inputs())["h"].sum() + second(GRAPHS, **inputs())["h"].sum()).backward()
    with torch.no_grad():
        first.embedding.weight.mul_(2)
        assert torch.equal(first(GRAPHS, **inputs())["h"], second(GRAPHS, **inputs())["h"])
    model = cavs.compile(function)
    with cavs.no_grad():
        plain = model(GRAPHS, **arrays())["h"].numpy()
    assert np.array_equal(plain, first(GRAPHS, **inputs())["h"].detach().numpy())


def test_a_run_of_the_command_becomes_a_layer(tmp_path: Path) -> None:
    options = {"num_train": 10, "max_depth": 2, "hidden_size": 4, "embedding_size": 3, "epochs": 1}
    task, config = make_task("tree-lstm", options)
    TrainingRun.start(tmp_path / "run", task, config).fit()
    path = tmp_path / "run" / "best.safetensors"
    checkpoint = load_checkpoint(path)
    layer = Layer(ChildSumTreeLSTM(**checkpoint.config), outputs=["logits"])
    layer.load_state_dict(checkpoint.parameters)
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])])
    word = np.int32([1, 2, -1])
    expected = Trained.load(path).model().eval()(graphs, outputs=["logits"], word=word)["logits"]
    found = layer.eval()(graphs, word=torch.from_numpy(word))["logits"]
    assert np.array_equal(found.detach().numpy(), expected.numpy())
