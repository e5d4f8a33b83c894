"""Calls of the layer of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

from argument_cases.base import GRAPH, Case, Cell


def torch_cases() -> Iterator[Case]:
    """Of ``cavs.torch``, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return
    import cavs.torch

    options = {
        "function": Cell(),
        "outputs": ["h"],
        "dtype": "float32",
        "device": "cpu",
        "seed": 0,
        "sparse": True,
        "policy": "batching",
        "passes": ["simplify"],
    }
    make = lambda function, **rest: cavs.torch.Layer(function, **rest)  # noqa: E731
    yield Case("torch.Layer", make, options)
    layer = cavs.torch.Layer(Cell())
    given = {"word": torch.tensor([1, 2]), "extra": torch.ones(2, 4, requires_grad=True)}
    call = lambda graphs, **rest: layer(graphs, **rest)  # noqa: E731
    yield Case("torch.Layer.__call__", call, {"graphs": GRAPH, "outputs": ["h"], **given})
    with torch.no_grad():
        infer = torch.no_grad()(call)
        yield Case("torch.Layer.__call__ without gradients", infer, {"graphs": GRAPH, **given})

    def trained(name: str, options: dict[str, object]) -> Iterator[Case]:
        """An optimizer of other parameters, as it is made and as a group is added."""
        kind = getattr(cavs.torch.optim, name)
        make = lambda **given: kind([torch.nn.Parameter(torch.ones(2))], **given)  # noqa: E731
        yield Case(f"torch.optim.{name}", make, options)
        optimizer = make()
        add = lambda **given: optimizer.add_param_group(  # noqa: E731
            {"params": [torch.nn.Parameter(torch.ones(2))], **given}
        )
        yield Case(f"torch.optim.{name}.add_param_group", add, options)

    shared = {"lr": 0.1, "weight_decay": 0.1}
    yield from trained("SGD", {**shared, "momentum": 0.9, "nesterov": True})
    yield from trained("Adagrad", {**shared, "eps": 1e-8, "initial_accumulator_value": 0.1})
    yield from trained("Adam", {**shared, "betas": (0.9, 0.99), "eps": 1e-8})
    yield from trained("AdamW", {**shared, "betas": (0.9, 0.99), "eps": 1e-8})
    options = {"alpha": 0.9, "momentum": 0.9, "centered": True, "eps": 1e-8}
    yield from trained("RMSprop", {**shared, **options})

    learning = torch.nn.Parameter(torch.ones(2))
    learning.grad = torch.ones(2)
    options = {"parameters": [learning], "max_norm": 1.0, "error_if_nonfinite": True}
    yield Case(
        "torch.clip_grad_norm_", lambda **given: cavs.torch.clip_grad_norm_(**given), options
    )
