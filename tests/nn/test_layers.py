"""Layers: values, gradients, initial values, symbols, saving and loading."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from cavs import InputGraph, batch, nn
from cavs import compile as compile_
from cavs.core.ops import group_norm, layer_norm
from cavs.core.ops._spaces import SpaceKind
from cavs.core.trace import trace
from cavs.core.vertex import VertexFunction
from cavs.errors import CheckpointError, InputError, ShapeError, TraceError
from cavs.tensor import Parameter, RowSparse, Tensor


class Model(nn.Module):
    def __init__(self, dtype: str = "float64") -> None:
        self.embedding = nn.Embedding(7, 3, dtype=dtype)
        self.layers = [nn.Linear(3, 4, dtype=dtype), nn.Linear(4, 4, bias=False, dtype=dtype)]
        self.norm = nn.LayerNorm(4, dtype=dtype)
        self.tied = self.embedding
        self.scale = nn.Parameter(np.ones((), dtype))

    def __call__(self, ids: Any) -> Any:
        return self.norm(self.layers[1](self.layers[0](self.embedding(ids)))) * self.scale


NAMES = [
    "embedding.weight",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "norm.weight",
    "norm.bias",
    "scale",
]


def test_linear_is_a_product_and_a_sum() -> None:
    layer = nn.Linear(3, 4, dtype="float64")
    x = np.random.default_rng(0).normal(size=(5, 3))
    assert layer.bias is not None
    expected = x @ layer.weight.data.T + layer.bias.data
    np.testing.assert_allclose(layer(Tensor(x)).data, expected)
    np.testing.assert_allclose(layer(Tensor(x[0])).data, expected[0])
    with pytest.raises(ShapeError, match=r"\[linear\] expected an input of shape \(..., 3\)"):
        layer(Tensor(np.ones((5, 4))))


def test_layer_norm_has_zero_mean_and_unit_variance() -> None:
    layer = nn.LayerNorm(8, eps=0.0, dtype="float64")
    y = layer(Tensor(np.random.default_rng(0).normal(3, 5, size=(4, 8)))).data
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1)
    with pytest.raises(ShapeError, match=r"\[layer_norm\] expected a last axis of 8"):
        layer(Tensor(np.ones((4, 7))))


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "last two": (nn.LayerNorm((4, 5), dtype="float64"), (3, 4, 5)),
    "all": (nn.LayerNorm((3, 4), dtype="float64"), (3, 4)),
    "channels": (nn.LayerNorm(3, axis=0, dtype="float64"), (3, 4, 5)),
    "apart": (nn.LayerNorm((3, 5), axis=(-3, -1), dtype="float64"), (3, 4, 5)),
    "groups": (nn.GroupNorm(2, 6, dtype="float64"), (6, 4, 5)),
    "one group": (nn.GroupNorm(1, 6, eps=0.1, dtype="float64"), (6, 7)),
    "instances": (nn.GroupNorm(6, 6, dtype="float64"), (6, 2, 2)),
    "channels alone": (nn.GroupNorm(3, 6, dtype="float64"), (6,)),
}


def of_torch(layer: Any, x: Any) -> Any:
    """The same of a tensor of PyTorch with rows in front; and its weight and bias."""
    torch = pytest.importorskip("torch")
    weight, bias = (torch.tensor(p.numpy(), requires_grad=True) for p in (layer.weight, layer.bias))
    functional = torch.nn.functional
    if isinstance(layer, nn.GroupNorm):
        y = functional.group_norm(x, layer.groups, weight, bias, layer.eps)
    elif layer.axis is None:
        y = functional.layer_norm(x, weight.shape, weight, bias, layer.eps)
    else:  # by axes that are made the last ones
        axes = [i % (x.ndim - 1) + 1 if i >= 0 else i % x.ndim for i in layer.axis]
        order = [i for i in range(x.ndim) if i not in axes] + axes
        y = functional.layer_norm(x.permute(order), weight.shape, weight, bias, layer.eps)
        y = y.permute([order.index(i) for i in range(x.ndim)])
    return y, weight, bias


class Normed(VertexFunction):
    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        self.layer, self.shape = layer, shape

    def forward(self, v: Any) -> None:
        v.push(y=self.layer(v.pull("x", self.shape)))


@pytest.mark.parametrize("name", LAYERS)
def test_norms_over_any_axes_and_over_groups_are_torchs(name: str) -> None:
    """In F, and, but for axes that count from the first one, of tensors with rows in front: values
    and gradients."""
    torch = pytest.importorskip("torch")
    layer, shape = LAYERS[name]
    rng = np.random.default_rng(2)
    for p in layer.parameters():
        p.copy_in(rng.normal(size=p.shape))
    data, seed = rng.normal(1.0, 2.0, size=(3, *shape)), rng.normal(size=(3, *shape))
    z = torch.tensor(data, requires_grad=True)
    expected, weight, bias = of_torch(layer, z)
    expected.backward(torch.tensor(seed))
    model = compile_(Normed(layer, shape), dtype="float64")
    graphs = batch([InputGraph([[]])] * 3)
    calls = [lambda x: model(graphs, x=x)["y"]]
    if name != "channels":
        calls.append(layer)
    for call in calls:
        x = Tensor(data, requires_grad=True)
        for p in layer.parameters():
            p.zero_grad()
        y = call(x)
        np.testing.assert_allclose(y.data, expected.detach().numpy(), 1e-10, 1e-12)
        y.backward(seed)
        pairs = ((x.grad, z), (layer.weight.grad, weight), (layer.bias.grad, bias))
        for found, wanted in pairs:
            np.testing.assert_allclose(found, wanted.grad.numpy(), 1e-9, 1e-10)


NO_NORMS = {
    "no size": (lambda: nn.LayerNorm(()), r"\[layer_norm\] expected a size for each axis, got"),
    "axes": (lambda: nn.LayerNorm((2, 3), axis=0), r"\[layer_norm\] expected a size for each axis"),
    "groups": (lambda: nn.GroupNorm(4, 6), r"\[group_norm\] expected channels in 4 groups .*got 6"),
    "no groups": (lambda: nn.GroupNorm(0, 6), r"\[group_norm\] expected an integer groups >= 1"),
    "shape": (
        lambda: nn.LayerNorm((2, 3))(Tensor(np.ones((4, 3, 2)))),
        r"\[layer_norm\] expected axes \(-2, -1\) of \(2, 3\), got shape \(4, 3, 2\)",
    ),
    "channels": (
        lambda: nn.GroupNorm(2, 6)(Tensor(np.ones((2, 4, 3)))),
        r"\[group_norm\] expected 6 channels as axis 1, got shape \(2, 4, 3\)",
    ),
    "weight": (
        lambda: layer_norm(Tensor(np.ones((2, 3))), np.ones(3), np.ones(3), axis=0),
        r"\[layer_norm\] expected a weight of shape \(2,\), as axes \(0,\) of x have, got \(3,\)",
    ),
    "bias": (
        lambda: group_norm(Tensor(np.ones((4, 3))), 2, np.ones(4), np.ones(3)),
        r"\[group_norm\] expected a bias of shape \(4,\), got \(3,\)",
    ),
}


@pytest.mark.parametrize("name", NO_NORMS)
def test_norms_that_do_not_fit_are_named(name: str) -> None:
    make, match = NO_NORMS[name]
    with pytest.raises(ShapeError, match=match):
        make()


def test_embedding_looks_up_rows() -> None:
    layer = nn.Embedding(4, 2, values=np.arange(8).reshape(4, 2))
    np.testing.assert_array_equal(layer([2, -1]).data, [[4, 5], [0, 0]])
    layer([2, -1]).sum().backward()
    assert isinstance(layer.weight.grad, RowSparse)
    with pytest.raises(ShapeError, match=r"values of shape \(4, 2\)"):
        nn.Embedding(4, 2, values=np.zeros((2, 4)))


def test_embedding_copies_given_values() -> None:
    values = np.zeros((4, 2), np.float32)
    assert not np.shares_memory(nn.Embedding(4, 2, values=values).weight.data, values)


def test_dropout_is_for_vertices() -> None:
    with pytest.raises(TraceError, match=r"\[dropout\] .* cavs.Tensor"):
        nn.Dropout(0.5)(Tensor(np.ones(3)))
    assert nn.Dropout(0.0)(3) == 3
    with pytest.raises(TraceError, match=r"\[dropout\] .* cavs.Tensor"):
        nn.Dropout(0.5, by="id")(Tensor(np.ones(3)))
    for wrong in (1.0, -0.1, float("nan"), "0.5", True, None):
        with pytest.raises(InputError, match=r"\[dropout\] expected a probability in \[0, 1\)"):
            nn.Dropout(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"expected by='vertex' or by='id', got 'edge'"):
        nn.Dropout(0.5, by="edge")


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_sizes_are_checked(size: Any) -> None:
    with pytest.raises(ShapeError, match=r"in_features >= 1"):
        nn.Linear(size, 2)


def test_layers_on_symbols() -> None:
    class F(VertexFunction):
        def __init__(self) -> None:
            self.model = Model("float32")
            self.dropout = nn.Dropout(0.5)

        def forward(self, v: Any) -> None:
            y = self.dropout(self.model(v.pull("word", dtype="int32")))
            assert y.shape == (4,)
            assert y.space == SpaceKind.VERTEX
            v.push(y=y)

    assert set(trace(F()).inputs) == {"word"}


def test_whole_model_gradient() -> None:
    nn.init.manual_seed(5)
    model, ids = Model(), np.array([1, 4, 1])
    weights = np.random.default_rng(0).normal(size=(3, 4))

    def loss() -> Any:
        return (model(ids) * weights).sum()

    loss().backward()
    for name, parameter in model.named_parameters():
        found, expected = np.asarray(parameter.grad), np.zeros(parameter.shape)
        for i in np.ndindex(*parameter.shape):
            before = parameter.data[i]
            for sign in (1.0, -1.0):
                parameter.data[i] = before + sign * 1e-6
                expected[i] += sign * loss().item() / 2e-6
            parameter.data[i] = before
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7, err_msg=name)


# --- Names, saving, loading -----------------------------------------------------------------------


def test_names_are_attribute_paths_and_tied_parameters_come_once() -> None:
    model = Model()
    assert list(model.state_dict()) == NAMES
    assert [id(p) for p in model.parameters()] == [id(p) for _, p in model.named_parameters()]


def test_state_dict_is_the_parameters_own_memory() -> None:
    model = Model()
    assert model.state_dict()["scale"] is model.scale.data


def test_state_goes_from_model_to_model() -> None:
    one, two = Model("float64"), Model("float32")
    kept = [p.data for p in two.parameters()]
    two.load_state_dict(one.state_dict())
    for name, array in two.state_dict().items():
        np.testing.assert_allclose(array, one.state_dict()[name], rtol=1e-6)
        assert array.dtype == np.float32
    assert all(a is p.data for a, p in zip(kept, two.parameters(), strict=True))


def test_mismatches_are_all_named_and_change_nothing() -> None:
    model = Model()
    state = {name: array + 1 for name, array in model.state_dict().items()}
    del state["norm.bias"]
    state["head.weight"] = np.zeros(3)
    state["scale"] = np.zeros(2)
    state["norm.weight"] = np.array(["a"] * 4)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        model.load_state_dict(state)
    for part in (
        "7 arrays of Model",
        "'norm.bias' is missing",
        "'head.weight' is unexpected",
        "'scale' has shape (2,) instead of ()",
        "'norm.weight' has dtype <U1",
    ):
        assert part in str(caught.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_long_lists_of_mismatches_are_cut() -> None:
    with pytest.raises(CheckpointError, match="and 92 more"):
        nn.Linear(2, 2).load_state_dict({str(i): np.zeros(1) for i in range(98)})


# --- Initial values -------------------------------------------------------------------------------


def parameter(*shape: int, dtype: Any = np.float64) -> Parameter:
    return Parameter(np.zeros(shape, dtype))


def test_the_seed_decides() -> None:
    nn.init.manual_seed(1)
    first = Model().state_dict()
    again = Model().state_dict()
    nn.init.manual_seed(1)
    same = Model().state_dict()
    np.testing.assert_array_equal(first["layers.0.weight"], same["layers.0.weight"])
    assert not np.array_equal(first["layers.0.weight"], again["layers.0.weight"])


def test_precision_does_not_change_what_is_drawn() -> None:
    nn.init.manual_seed(1)
    wide = Model("float64").state_dict()
    nn.init.manual_seed(1)
    for name, array in Model("float32").state_dict().items():
        np.testing.assert_array_equal(array, wide[name].astype(np.float32))


def test_the_generator_goes_on_from_a_saved_state() -> None:
    nn.init.manual_seed(3)
    nn.init.normal_(parameter(5))
    state = json.loads(json.dumps(nn.init.get_state()))
    expected = nn.init.normal_(parameter(5)).data
    nn.init.set_state(state)
    np.testing.assert_array_equal(nn.init.normal_(parameter(5)).data, expected)


def test_bad_seeds_and_states() -> None:
    for seed in (-1, "a", 1.5, None):
        with pytest.raises(InputError, match=r"\[manual_seed\]"):
            nn.init.manual_seed(seed)  # type: ignore[arg-type]
    for state in ({}, {"bit_generator": "MT19937"}, 3):
        with pytest.raises(CheckpointError, match=r"\[init\]"):
            nn.init.set_state(state)  # type: ignore[arg-type]


def test_distributions() -> None:
    nn.init.manual_seed(0)
    bound = 1 / math.sqrt(400)
    weight = nn.Linear(400, 300).weight.data
    assert np.abs(weight).max() <= bound
    np.testing.assert_allclose(weight.std(), bound / math.sqrt(3), rtol=0.01)
    np.testing.assert_allclose(nn.Embedding(300, 400, std=0.1).weight.data.std(), 0.1, rtol=0.01)
    glorot = math.sqrt(2 / 700)
    for fill in (nn.init.xavier_uniform_, nn.init.xavier_normal_):
        np.testing.assert_allclose(fill(parameter(300, 400)).data.std(), glorot, rtol=0.01)
    low = nn.init.uniform_(parameter(1000), 2.0, 3.0).data
    assert 2 <= low.min() <= low.max() < 3


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_orthogonal(shape: tuple[int, int]) -> None:
    q = nn.init.orthogonal_(parameter(*shape), gain=2.0).data
    gram = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-12)
    with pytest.raises(ShapeError, match="a matrix"):
        nn.init.orthogonal_(parameter(3))


def test_layers_say_what_they_are() -> None:
    shown = [nn.Linear(2, 3), nn.Embedding(4, 5), nn.LayerNorm(6), nn.Dropout(0.1)]
    shown.append(nn.Dropout(0.1, by="id"))
    shown += [nn.LayerNorm((2, 3)), nn.LayerNorm(2, axis=0), nn.GroupNorm(2, 4)]
    assert [repr(x) for x in shown] == [
        "Linear(2, 3, bias=True)",
        "Embedding(4, 5)",
        "LayerNorm(6, eps=1e-05)",
        "Dropout(0.1)",
        "Dropout(0.1, by='id')",
        "LayerNorm((2, 3), eps=1e-05)",
        "LayerNorm(2, eps=1e-05, axis=(0,))",
        "GroupNorm(2, 4, eps=1e-05)",
    ]
