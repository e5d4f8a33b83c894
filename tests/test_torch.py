"""Vertex functions as layers of PyTorch: values and gradients, what a call takes and refuses."""

import gc
import re
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from busy_threads import run_script, together
from hypothesis import given, settings
from strategies import batches
from torch_cell import GRAPHS, Cell, Noisy, arrays, inputs, reference

import cavs
from cavs import nn, ops

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def one_line(error: BaseException) -> str:
    """The message, which is one line of the form that cavs's errors have."""
    message = str(error)
    assert "\n" not in message, message
    assert "expected" in message, message
    assert "; " in message, message
    return message


def gradients(layer: Any, **more: Any) -> dict[str, np.ndarray]:
    """Gradients by name, the sparse ones made dense."""
    found = {name: p.grad for name, p in layer.named_parameters()} | more
    return {
        name: (g.to_dense() if g.is_sparse else g).numpy()
        for name, g in found.items()
        if g is not None
    }


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


# --- Values and gradients -------------------------------------------------------------------------


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


# --- What a call takes ----------------------------------------------------------------------------

FLOATS: dict[str, Any] = {
    "float64": lambda x: x.double(),
    "bfloat16": lambda x: x.bfloat16(),
    "half": lambda x: x.half(),
    "transposed": lambda x: x.t().contiguous().t(),
    "expanded": lambda x: x[:1].expand(x.shape),
    "every second": lambda x: torch.stack([x, x], 2).flatten(1)[:, ::2],
    "offset": lambda x: torch.cat([x[:1], x])[1:],
    "parameter": lambda x: torch.nn.Parameter(x),
}


@pytest.mark.parametrize("kind", FLOATS)
def test_float_inputs_of_any_layout_and_precision(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()
    x = FLOATS[kind](given["x"].detach()).detach().requires_grad_()
    y = layer(GRAPHS, word=given["word"], x=x)["square"]
    same = x.detach().float().contiguous().clone().requires_grad_()
    z = layer(GRAPHS, word=given["word"], x=same)["square"]
    assert torch.equal(y, z)
    y.sum().backward()
    z.sum().backward()
    assert x.grad.dtype == x.dtype
    assert torch.equal(x.grad, same.grad.to(x.dtype))


def test_dense_inputs_are_read_in_place_and_outputs_share_memory() -> None:
    class Same(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 4) * 1.0)

    layer = Layer(Same())
    seen = []
    original = layer.model._executor.forward

    def spy(graphs: Any, arrays: Any, *rest: Any, **options: Any) -> Any:
        outputs, run = original(graphs, arrays, *rest, **options)
        seen.append((arrays["x"], outputs["y"]))
        return outputs, run

    layer.model._executor.forward = spy
    x = torch.randn(GRAPHS.num_vertices, 4, requires_grad=True)
    y = layer(GRAPHS, x=x)["y"]
    ((given, made),) = seen
    assert given.ctypes.data == x.data_ptr()
    assert made.ctypes.data == y.data_ptr()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_integer_inputs_of_any_width(dtype: str) -> None:
    layer, given = Layer(Cell()), inputs()
    word = given["word"].clamp(min=0)
    expected = layer(GRAPHS, word=word, x=given["x"])["h"]
    strided = torch.stack([word, word], 1)[:, 0].to(getattr(torch, dtype))
    assert torch.equal(layer(GRAPHS, word=strided, x=given["x"])["h"], expected)


def test_arrays_lists_and_graphs_will_do() -> None:
    layer, plain = Layer(Cell()), arrays()
    expected = layer(GRAPHS, **inputs())["h"]
    assert torch.equal(layer(GRAPHS, **plain)["h"], expected)
    listed = {name: x.tolist() for name, x in plain.items()}
    assert torch.equal(layer(cavs.unbatch(GRAPHS), **listed)["h"], expected)


def test_options_are_those_of_compile() -> None:
    layer = Layer(Cell(), outputs=["h"], dtype="float64", device=torch.device("cpu"), passes=[])
    assert list(layer(GRAPHS, **inputs())) == ["h"]
    assert layer(GRAPHS, **inputs())["h"].dtype == torch.float64
    assert "Cell: word, x -> h" in repr(layer) or "Cell: x, word -> h" in repr(layer)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert Layer(Cell()).embedding.weight.dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_autocast() -> None:
    layer, given, linear = Layer(Cell()), inputs(), torch.nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        x = linear(given["x"])
        assert x.dtype == torch.bfloat16
        y = layer(GRAPHS, word=given["word"], x=x)["h"]
    assert y.dtype == torch.float32
    y.sum().backward()
    assert linear.weight.grad.dtype == torch.float32


# --- What a call refuses --------------------------------------------------------------------------


def _under(mode: Any, call: Any) -> Any:
    with mode:
        return call()


def _dual(x: Any) -> Any:
    return torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x))


def _fake(x: Any) -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode().from_tensor(x.detach())


WRONG: dict[str, Any] = {
    "sparse": lambda x: x.detach().to_sparse(),
    "csr": lambda x: x.detach().to_sparse_csr(),
    "meta": lambda x: torch.empty(x.shape, device="meta"),
    "integers": lambda x: x.detach().long(),
    "complex": lambda x: torch.complex(x, x),
    "negated": lambda x: torch.imag(torch.complex(x, x).conj()),
    "another shape": lambda x: x[:2],
    "fake": _fake,
    "none": lambda x: None,
    "learning tensor of cavs": lambda x: cavs.tensor(x.detach().numpy(), requires_grad=True),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_other_tensors_are_refused_in_one_line(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()
    with pytest.raises(cavs.CavsError) as caught:
        layer(GRAPHS, word=given["word"], x=WRONG[kind](given["x"]))
    assert "'x'" in one_line(caught.value)


@pytest.mark.parametrize(
    "word", [[0.5] * 7, [True] * 7, [7] * 7, [-2] * 7, [2**40] * 7, [0] * 6], ids=str
)
def test_wrong_ids_are_refused_in_one_line(word: list[Any]) -> None:
    with pytest.raises(cavs.CavsError) as caught:
        Layer(Cell())(GRAPHS, word=torch.tensor(word), x=inputs()["x"])
    assert "'word'" in one_line(caught.value)


def _fake_mode() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


def _make_fx(call: Any) -> Any:
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(call)


TRANSFORMS: dict[str, Any] = {
    "vmap": lambda f, x: torch.vmap(f)(torch.stack([x, x])),
    "grad": lambda f, x: torch.func.grad(lambda e: f(e).sum())(x),
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (x,)),
    "trace": lambda f, x: torch.jit.trace(f, (x,)),
    "fake mode": lambda f, x: _under(_fake_mode(), lambda: f(x)),
    "make_fx": lambda f, x: _make_fx(f)(x),
    "forward mode": lambda f, x: _under(
        torch.autograd.forward_ad.dual_level(), lambda: f(_dual(x))
    ),
    "vectorized": lambda f, x: torch.autograd.functional.jacobian(f, x, vectorize=True),
    "double": lambda f, x: torch.autograd.functional.hessian(lambda e: f(e).sum(), x),
}


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_transforms_are_refused_in_one_line(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()

    def call(x: Any) -> Any:
        return layer(GRAPHS, word=given["word"], x=x)["h"].sum(0)

    with pytest.raises(cavs.CavsError) as caught:
        TRANSFORMS[kind](call, given["x"].detach())
    one_line(caught.value)
    layer(GRAPHS, **given)["h"].sum().backward()  # as before


def test_a_gradient_in_the_loss_is_refused_also_where_the_loss_has_other_parts() -> None:
    layer, given = Layer(Cell()), inputs()
    y = layer(GRAPHS, **given)["h"].sum()
    (dx,) = torch.autograd.grad(y, given["x"], create_graph=True)
    with pytest.raises(cavs.CavsRuntimeError, match="second") as caught:
        (y + (dx**2).sum()).backward()
    one_line(caught.value)
    other = torch.zeros(4, requires_grad=True)
    y = layer(GRAPHS, **given)["h"].sum()
    (dx,) = torch.autograd.grad(y, given["x"], create_graph=True)
    with pytest.raises(cavs.CavsRuntimeError, match="second"):
        torch.autograd.grad((dx * other).sum(), given["x"])
    with torch.no_grad():
        assert torch.equal(dx.detach(), dx)


def test_errors_of_cavs_come_through() -> None:
    layer, given = Layer(Cell()), inputs()
    with pytest.raises(cavs.InputError, match="'x'"):
        layer(GRAPHS, word=given["word"])
    with pytest.raises(cavs.InputError, match="'y'"):
        layer(GRAPHS, y=1, **given)
    with pytest.raises(cavs.GraphError):
        layer(3, **given)
    layer.function.layers[0] = nn.Linear(4, 4)
    with pytest.raises(cavs.CavsRuntimeError, match=r"layers\[0\]"):
        layer(GRAPHS, **given)


WRONG_OPTIONS: dict[str, dict[str, Any]] = {
    "function": {"function": 3},
    "class": {"function": Cell},
    "dtype": {"dtype": torch.float16},
    "dtype by name": {"dtype": "half"},
    "device": {"device": "cuda"},
    "torch device": {"device": torch.device("cuda", 0)},
    "seed": {"seed": -1},
    "sparse": {"sparse": 2},
    "policy": {"policy": "fast"},
    "passes": {"passes": ["fast"]},
    "outputs": {"outputs": ["z"]},
}


@pytest.mark.parametrize("kind", WRONG_OPTIONS)
def test_wrong_options_are_refused_in_one_line(kind: str) -> None:
    options = {"function": Cell(), **WRONG_OPTIONS[kind]}
    with pytest.raises(cavs.CavsError) as caught:
        Layer(options.pop("function"), **options)
    one_line(caught.value)


# --- torch.compile, checkpoints, hooks ------------------------------------------------------------


def test_values_that_are_not_finite_are_found() -> None:
    layer, given = Layer(Cell()), inputs()
    with torch.no_grad():
        layer.get_parameter("layers.0.bias").fill_(float("nan"))
    with cavs.detect_nonfinite(), pytest.raises(cavs.NonFiniteError, match=r"layers\.0\.bias"):
        layer(GRAPHS, **given)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    layer = Layer(Noisy())
    x = torch.randn(GRAPHS.num_vertices, 4, requires_grad=True)
    y = checkpoint(lambda e: layer(GRAPHS, x=e)["h"], x, use_reentrant=reentrant)
    y.square().sum().backward()
    # Of dropout, the gradient shows whether the same rows were dropped as in the forward.
    weight = layer.get_parameter("u.weight")
    dropped = (y == 0).double()
    expected = (2 * y.detach() * (1 - dropped) * 2) @ weight.detach().double()
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_free_the_run(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    layer, given, runs = Layer(Cell()), inputs(), []
    original = layer.model._executor.forward

    def spy(*args: Any, **options: Any) -> Any:
        outputs, run = original(*args, **options)
        if run is not None:
            runs.append(weakref.ref(run))
        return outputs, run

    layer.model._executor.forward = spy
    y = checkpoint(
        lambda x: layer(GRAPHS, word=given["word"], x=x)["h"], given["x"], use_reentrant=reentrant
    )
    assert all(run() is None for run in runs)
    y.sum().backward()
    assert all(run() is None for run in runs)
    found, given["x"].grad = given["x"].grad, None
    layer(GRAPHS, **given)["h"].sum().backward()
    assert torch.equal(found, given["x"].grad)


def test_hooks_for_saved_tensors() -> None:
    layer, given = Layer(Cell()), inputs()
    with torch.autograd.graph.save_on_cpu():
        y = layer(GRAPHS, **given)["h"]
    y.sum().backward()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.clone(), lambda x: x):
        y = layer(GRAPHS, **given)["h"]
    with pytest.raises(cavs.CavsRuntimeError, match="copy") as caught:
        y.sum().backward()
    one_line(caught.value)


def test_a_checkpoint_of_a_seeded_layer_is_refused_where_it_draws() -> None:
    from torch.utils.checkpoint import checkpoint

    x = torch.randn(GRAPHS.num_vertices, 4, requires_grad=True)
    layer = Layer(Noisy(), seed=3)
    y = checkpoint(lambda e: layer(GRAPHS, x=e)["h"], x, use_reentrant=True)
    with pytest.raises(cavs.CavsRuntimeError, match="seed"):
        y.sum().backward()
    layer.eval()
    checkpoint(lambda e: layer(GRAPHS, x=e)["h"], x, use_reentrant=True).sum().backward()


def test_hooks_run() -> None:
    layer, given, seen = Layer(Cell()), inputs(), []
    layer.register_forward_hook(lambda module, args, result: seen.append("forward"))
    layer.embedding.weight.register_hook(lambda grad: seen.append("weight"))
    layer.embedding.weight.register_post_accumulate_grad_hook(lambda p: seen.append("after"))
    given["x"].register_hook(lambda grad: grad * 2)
    outputs = layer(GRAPHS, **given)
    outputs["h"].register_hook(lambda grad: seen.append("h"))
    outputs["h"].sum().backward()
    assert seen == ["forward", "h", "weight", "after"] or sorted(seen) == sorted(
        ["forward", "h", "weight", "after"]
    )
    doubled, x = given["x"].grad, inputs()["x"]
    Layer(Cell())(GRAPHS, word=given["word"], x=x)["h"].sum().backward()
    assert torch.equal(doubled, 2 * x.grad)


# --- Graphs that are kept -------------------------------------------------------------------------


def test_used_twice_in_one_graph() -> None:
    layer, given = Layer(Cell()), inputs()
    first = layer(GRAPHS, **given)["h"]
    second = layer(GRAPHS, word=given["word"], x=first)["h"]
    (first.sum() + second.sum()).backward()
    found = gradients(layer, x=given["x"].grad)
    layer.zero_grad()
    given = inputs()
    first = layer(GRAPHS, **given)["h"]
    inner = first.detach().requires_grad_()
    second = layer(GRAPHS, word=given["word"], x=inner)["h"]
    second.sum().backward()
    first.backward(torch.ones_like(first) + inner.grad)
    for name, grad in gradients(layer, x=given["x"].grad).items():
        np.testing.assert_allclose(found[name], grad, rtol=1e-4, atol=1e-5, err_msg=name)


def test_retain_graph() -> None:
    layer, given = Layer(Cell()), inputs()
    y = layer(GRAPHS, **given)["square"].sum()
    y.backward(retain_graph=True)
    once = gradients(layer, x=given["x"].grad.clone())
    once = {name: grad.copy() for name, grad in once.items()}
    y.backward(retain_graph=True)
    (dx,) = torch.autograd.grad(y, given["x"])
    assert torch.equal(dx, torch.from_numpy(once["x"]))
    for name, grad in gradients(layer, x=given["x"].grad).items():
        np.testing.assert_array_equal(grad, 2 * once[name], err_msg=name)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_autograd_grad_of_some_operands() -> None:
    layer, given = Layer(Cell()), inputs()
    y = layer(GRAPHS, **given)["h"].sum()
    weight = layer.embedding.weight
    dx, dw = torch.autograd.grad(y, [given["x"], weight], retain_graph=True)
    y.backward()
    assert torch.equal(dx, given["x"].grad)
    assert torch.equal(dw, weight.grad)
    unused = layer.unused
    y = layer(GRAPHS, **given)["h"].sum()
    assert torch.autograd.grad(y, unused, allow_unused=True) == (None,)


def test_a_run_is_freed_after_backward_and_after_del() -> None:
    layer, given = Layer(Cell()), inputs()
    runs: list[Any] = []
    original = layer.model._executor.forward

    def spy(*args: Any, **options: Any) -> Any:
        outputs, run = original(*args, **options)
        runs.append(weakref.ref(run))
        return outputs, run

    layer.model._executor.forward = spy
    gc.collect()
    gc.disable()
    try:
        y = layer(GRAPHS, **given)["h"].sum()
        y.backward()
        assert runs.pop()() is None
        z = layer(GRAPHS, **given)["h"].sum()
        assert runs[0]() is not None
        del z
        assert runs.pop()() is None
        z = layer(GRAPHS, **given)["h"].sum()
        z.backward(retain_graph=True)
        assert runs[0]() is not None
        del z
        assert runs.pop()() is None
    finally:
        gc.enable()


def test_writing_to_what_backward_reads_is_an_error() -> None:
    layer, given = Layer(Cell()), inputs()
    bias = layer.get_parameter("layers.0.bias")

    def in_place() -> None:
        with torch.no_grad():
            bias.add_(1)

    def by_data() -> None:
        bias.data.add_(1)

    def by_cavs() -> None:
        with layer.function.layers[0].bias.writing() as values:
            values += 1

    def to_the_input() -> None:
        with torch.no_grad():
            given["x"].add_(1)

    for write in (in_place, by_data, by_cavs, to_the_input):
        y = layer(GRAPHS, **given)["h"].sum()
        write()
        with pytest.raises(RuntimeError, match=r"modified by an inplace|written"):
            y.backward()
    layer(GRAPHS, **given)["h"].sum().backward()


def test_writing_to_outputs() -> None:
    """An output that backward reads again must not change; gradients flow through the others."""
    layer, given = Layer(Cell()), inputs()
    outputs = layer(GRAPHS, **given)
    outputs["fixed"].mul_(3)
    (outputs["fixed"].sum()).backward()
    assert torch.equal(given["x"].grad, torch.full_like(given["x"], 6.0))
    outputs = layer(GRAPHS, **given)
    outputs["h"].mul_(3)
    found = None
    try:
        outputs["h"].sum().backward()
        found = gradients(layer)
    except RuntimeError as error:
        assert "inplace" in str(error)  # noqa: PT017
    if found is not None:
        layer.zero_grad()
        (layer(GRAPHS, **given)["h"] * 3).sum().backward()
        for name, grad in gradients(layer).items():
            np.testing.assert_allclose(found[name], grad, rtol=1e-5, err_msg=name)


# --- Sparse gradients -----------------------------------------------------------------------------


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


# --- Random numbers -------------------------------------------------------------------------------


def test_torch_seeds_dropout_unless_the_layer_has_a_seed() -> None:
    layer, x = Layer(Noisy()), torch.ones(GRAPHS.num_vertices, 4)
    torch.manual_seed(1)
    a, b = layer(GRAPHS, x=x)["h"], layer(GRAPHS, x=x)["h"]
    torch.manual_seed(1)
    c = layer(GRAPHS, x=x)["h"]
    assert not torch.equal(a, b)
    assert torch.equal(a, c)
    state = torch.get_rng_state()
    assert torch.equal(layer.eval()(GRAPHS, x=x)["h"], layer(GRAPHS, x=x)["h"])
    assert torch.equal(state, torch.get_rng_state())  # evaluation draws nothing
    first, second = Layer(Noisy(), seed=5), cavs.compile(Noisy(), seed=5)
    first.load_state_dict({k: torch.from_numpy(v) for k, v in second.state_dict().items()})
    for _ in range(2):
        expected = second(GRAPHS, x=x.numpy())["h"].numpy()
        assert np.array_equal(first(GRAPHS, x=x)["h"].detach().numpy(), expected)
    assert torch.equal(torch.get_rng_state(), state)


# --- Threads and processes ------------------------------------------------------------------------


def test_threads_share_a_layer() -> None:
    layer, plain = Layer(Cell()), arrays()
    layer(GRAPHS, **inputs())["square"].sum().backward()
    expected = {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}

    def work(number: int) -> bool:
        for _ in range(20):
            given = {k: torch.from_numpy(x.copy()) for k, x in plain.items()}
            y = layer(GRAPHS, **given)["square"].sum()
            names = list(expected)
            found = torch.autograd.grad(y, [layer.get_parameter(name) for name in names])
            for name, grad in zip(names, found, strict=True):
                assert torch.equal(grad, expected[name])
            with torch.no_grad():
                assert torch.equal(layer(GRAPHS, **given)["square"].sum(), y)
        return True

    assert together(2, work) == [True, True]
    assert threading.active_count() < 50


def _collate(trees: list[tuple[cavs.InputGraph, list[int]]]) -> tuple[cavs.GraphBatch, Any]:
    graphs = cavs.batch([graph for graph, _ in trees])
    return graphs, torch.tensor([word for _, words in trees for word in words])


def test_workers_of_a_data_loader_batch_graphs() -> None:
    layer = Layer(Cell())
    x = torch.ones(1, 4)
    trees = [(cavs.InputGraph([[], [0]]), [i % 7, 0]) for i in range(12)]
    layer(trees[0][0], word=torch.tensor([1, 2]), x=x.expand(2, 4))  # threads are there
    loader = torch.utils.data.DataLoader(
        trees, batch_size=4, collate_fn=_collate, num_workers=2, multiprocessing_context="fork"
    )
    plain = torch.utils.data.DataLoader(trees, batch_size=4, collate_fn=_collate)
    for (graphs, word), (same, known) in zip(loader, plain, strict=True):
        assert torch.equal(word, known)
        y = layer(graphs, word=word, x=x.expand(8, 4))["h"]
        assert torch.equal(y, layer(same, word=known, x=x.expand(8, 4))["h"])
        y.sum().backward()


def test_torch_is_imported_by_this_module_alone() -> None:
    run_script(
        """
        import sys
        import pkgutil
        import cavs, cavs.data, cavs.models, cavs.training, cavs.cli.main
        assert "torch" not in sys.modules
        import cavs.torch
        assert "torch" in sys.modules
        assert "torch._dynamo" not in sys.modules
        """
    )


def test_without_torch_one_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['torch'] = None\nimport cavs.torch"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: [torch] expected PyTorch")
    assert last.endswith("pip install torch")


@pytest.mark.slow
def test_torch_compile_leaves_the_layer_out() -> None:
    run_script(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch, cavs, cavs.torch
        from torch_cell import GRAPHS, Cell, inputs
        import torch._dynamo.utils as counted

        layer, head = cavs.torch.Layer(Cell()), torch.nn.Linear(4, 2)
        def call(graphs, word, x):
            return head(layer(graphs, word=word, x=x * 2)["h"])
        compiled = torch.compile(call, backend="eager")
        for seed in range(4):
            given = inputs(seed=seed)
            y = compiled(GRAPHS, **given)
            y.sum().backward()
            found, given["x"].grad = given["x"].grad, None
            expected = call(GRAPHS, **given)
            assert torch.equal(y, expected)
            expected.sum().backward()
            assert torch.equal(found, given["x"].grad)
        assert counted.counters["frames"]["total"] < 12, counted.counters["frames"]
        """
    )


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_what_docs_show_runs() -> None:
    docs = (Path(__file__).parents[1] / "docs" / "pytorch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", docs, re.S | re.M)
    assert len(blocks) == 3
    names: dict[str, Any] = {"__name__": "pytorch"}
    for block in blocks:
        exec(compile(block, "pytorch.md", "exec"), names)
