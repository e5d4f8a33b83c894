"""Values and gradients of a layer are those of the reference executor, dense or sparse."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import batches
from torch_cell import GRAPHS, Cell, arrays, inputs, reference
from torch_checks import gradients

import cavs
from cavs import nn, ops

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def check_against_reference(layer: Any, graphs: cavs.GraphBatch, names: list[str]) -> None:
    """Outputs and gradients from random cotangents of some outputs."""
    dtype = layer.model.dtype
    given, plain = inputs(graphs, dtype=dtype), arrays(graphs, dtype=dtype)
    outputs = layer(graphs, **given)
    rng = np.random.default_rng(1)
    cotangents = {name: rng.normal(size=(graphs.num_vertices, 4)).astype(dtype) for name in names}
    values, expected = reference(layer.function, graphs, plain, cotangents)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9}
    for name, y in outputs.items():
        np.testing.assert_allclose(y.detach().numpy(), values[name], **tolerance)
    torch.autograd.backward(
        [outputs[name] for name in names], [torch.from_numpy(cotangents[name]) for name in names]
    )
    found = gradients(layer, x=given["x"].grad)
    assert set(found) == {name for name, g in expected.items() if g is not None}
    for name, grad in found.items():
        np.testing.assert_allclose(grad, expected[name], **tolerance, err_msg=name)


@given(graphs=batches(min_size=1))
@settings(max_examples=20)
def test_values_and_gradients_are_those_of_the_reference(graphs: cavs.GraphBatch) -> None:
    check_against_reference(Layer(Cell(), dtype=torch.float64), graphs, ["h", "square"])


@pytest.mark.parametrize("names", [["h"], ["square"], ["fixed", "h"]])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("policy", ["batching", "serial"])
def test_gradients_of_some_outputs(names: list[str], sparse: bool, policy: str) -> None:
    check_against_reference(Layer(Cell(), sparse=sparse, policy=policy), GRAPHS, names)


def test_training_gives_the_bits_of_cavs_alone() -> None:
    layer, function = Layer(Cell()), Cell()
    model = cavs.compile(function)
    given, plain = inputs(), arrays()
    given["x"].requires_grad_(False)
    y, z = layer(GRAPHS, **given)["h"], model(GRAPHS, **plain)["h"]
    assert np.array_equal(y.detach().numpy(), z.numpy())
    y.sum().backward()
    z.sum().backward()
    for name, parameter in function.named_parameters():
        grad = parameter.grad
        if grad is not None:
            dense = grad.to_dense() if isinstance(grad, cavs.RowSparse) else grad
            assert np.array_equal(layer.get_parameter(name).grad.numpy(), dense), name


def test_gradcheck_of_inputs_and_of_parameters() -> None:
    layer = Layer(Cell(), dtype=torch.float64)
    given = inputs(dtype=np.float64)
    word = given["word"]
    params = list(layer.parameters())

    def call(x: Any, *_: Any) -> Any:
        outputs = layer(GRAPHS, word=word, x=x)
        return outputs["h"], outputs["square"], outputs["fixed"]

    # It writes to the parameters through ``data``, element by element.
    assert torch.autograd.gradcheck(call, (given["x"], *params[1:]))
    names = [name for name, _ in layer.named_parameters()]

    def replaced(*values: Any) -> Any:
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, state, (GRAPHS,), given)["square"]

    values = [p.detach().clone().requires_grad_() for p in params]
    assert torch.autograd.gradcheck(replaced, values)


def test_inference_gives_the_same_and_no_graph() -> None:
    layer, given = Layer(Cell()).eval(), inputs()
    with_graph = layer(GRAPHS, **given)["h"]
    assert with_graph.requires_grad
    for mode in (torch.no_grad, torch.inference_mode):
        for _ in range(2):  # results by id are remembered
            with mode():
                y = layer(GRAPHS, **given)["h"]
            assert not y.requires_grad
            assert torch.equal(y, with_graph)


def test_frozen_parameters_and_layers() -> None:
    layer, given = Layer(Cell()), inputs()
    layer.embedding.weight.requires_grad_(False)
    layer(GRAPHS, **given)["h"].sum().backward()
    assert layer.embedding.weight.grad is None
    assert layer.get_parameter("layers.0.weight").grad is not None
    assert given["x"].grad is not None
    layer.requires_grad_(False)
    given["x"] = given["x"].detach()
    assert not layer(GRAPHS, **given)["h"].requires_grad
    layer.requires_grad_(True)
    layer(GRAPHS, **given)["h"].sum().backward()
    assert layer.embedding.weight.grad is not None
    frozen = Cell()
    frozen.embedding.weight.requires_grad = False
    assert not Layer(frozen).embedding.weight.requires_grad


def test_outputs_that_nothing_learns_from_have_no_gradient() -> None:
    layer, given = Layer(Cell()), inputs()
    assert layer(GRAPHS, **given)["fixed"].requires_grad
    given["x"] = given["x"].detach()
    outputs = layer(GRAPHS, **given)
    assert {name: y.requires_grad for name, y in outputs.items()} == {
        "h": True,
        "square": True,
        "fixed": False,
    }


def test_between_torch_modules_it_trains() -> None:
    torch.manual_seed(0)
    encoder, layer, head = torch.nn.Linear(3, 4), Layer(Cell()), torch.nn.Linear(4, 2)
    params = [*encoder.parameters(), *layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(params, lr=0.02)
    features, target = torch.randn(GRAPHS.num_vertices, 3), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    word = inputs()["word"]
    losses = []
    for _ in range(60):
        h = layer(GRAPHS, word=word, x=encoder(features))["h"]
        loss = torch.nn.functional.cross_entropy(head(h), target)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(params, 5.0)
        assert torch.isfinite(norm)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < losses[0]
    assert encoder.weight.grad.abs().sum() > 0


def test_sparse_gradients_of_embeddings() -> None:
    layer, dense, given = Layer(Cell(), sparse=True), Layer(Cell()), inputs()
    for each in (layer, dense):
        each(GRAPHS, **given)["h"].sum().backward()
    grad = layer.embedding.weight.grad
    assert grad.is_sparse
    assert grad.is_coalesced()
    assert grad.indices().dtype == torch.int64
    words = given["word"][given["word"] >= 0].unique()
    assert torch.equal(grad.indices()[0], words)
    assert torch.equal(grad.to_dense(), dense.embedding.weight.grad)
    assert not layer.get_parameter("layers.0.weight").grad.is_sparse
    layer(GRAPHS, **given)["h"].sum().backward()  # adds up
    np.testing.assert_allclose(
        layer.embedding.weight.grad.to_dense(), 2 * dense.embedding.weight.grad, rtol=1e-6
    )


@pytest.mark.parametrize("name", ["SparseAdam", "Adagrad", "SGD"])
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_optimizers_of_sparse_gradients(name: str) -> None:
    layer, given = Layer(Cell(), sparse=True), inputs()
    optimizer = getattr(torch.optim, name)([layer.embedding.weight], lr=0.1)
    before = layer.embedding.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        layer(GRAPHS, **given)["square"].sum().backward()
        optimizer.step()
    changed = (layer.embedding.weight != before).any(1)
    words = given["word"][given["word"] >= 0].unique()
    assert torch.equal(changed.nonzero()[:, 0], words)


class Tied(cavs.VertexFunction):
    """Reads a table by ids, twice, and as a whole."""

    def __init__(self) -> None:
        self.table = nn.Parameter(np.arange(12, dtype=np.float32).reshape(4, 3) / 10)

    def forward(self, v: cavs.Vertex) -> None:
        rows = ops.embedding(self.table, v.pull("a", dtype="int32"))
        rows = rows + ops.embedding(self.table, v.pull("b", dtype="int32")) * 2.0
        v.push(y=rows, z=ops.linear(rows, self.table))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", ["y", "z"])
def test_gradients_of_a_table_in_several_parts(sparse: bool, name: str) -> None:
    layer = Layer(Tied(), sparse=sparse)
    a, b = torch.tensor([0, 1, 1]), torch.tensor([3, 1, -1])
    layer(cavs.InputGraph([[], [], []]), a=a, b=b)[name].square().sum().backward()
    table = layer.table.detach().clone().requires_grad_()
    padded = torch.cat([table, torch.zeros(1, 3)])
    rows = padded[a] + padded[b] * 2
    (rows if name == "y" else rows @ table.t()).square().sum().backward()
    grad = layer.table.grad
    assert grad.is_sparse == (sparse and name == "y")
    np.testing.assert_allclose(grad.to_dense(), table.grad, rtol=1e-5, atol=1e-6)
