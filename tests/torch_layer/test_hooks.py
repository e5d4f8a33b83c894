"""Checkpoints, hooks and torch.compile work around a layer."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from busy_threads import run_script
from torch_cell import GRAPHS, Cell, Noisy, inputs
from torch_checks import one_line

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


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
        outputs, run, updates = original(*args, **options)
        if run is not None:
            runs.append(weakref.ref(run))
        return outputs, run, updates

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


@pytest.mark.slow
def test_torch_compile_leaves_the_layer_out() -> None:
    run_script(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
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
