"""What is asked for by a name that is not there, often PyTorch's: AttributeErrors that say what to
use instead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

_ARRAYS = "make an array of NumPy, and cavs.tensor(array) of it"
_LISTS = "keep layers in a list, a tuple or a dictionary"
_CELLS = "write the cell as a vertex function, or use one of cavs.models"
_LAYERS = "write its layers as vertex functions with ops.attention: docs/attention.md has them"
_TWO_AXES = "convolutions go over one axis or two"
_RATES = "use one of its schedules, or set optimizer.param_groups[i]['lr']"
_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "cavs": {
        **dict.fromkeys(("zeros", "ones", "full", "eye", "arange", "linspace"), _ARRAYS),
        **dict.fromkeys(("rand", "randn", "from_numpy", "as_tensor"), _ARRAYS),
        **dict.fromkeys(
            ("float32", "float64", "int32", "int64", "dtype"), "write its name, a text"
        ),
        "cat": "use cavs.concat",
        "inference_mode": "use cavs.no_grad()",
        **dict.fromkeys(("clip_grad_norm", "clip_grad_norm_"), "use cavs.optim.clip_grad_norm"),
    },
    "cavs.nn": {
        **dict.fromkeys(("Sequential", "ModuleList", "ModuleDict"), _LISTS),
        **dict.fromkeys(("ParameterList", "ParameterDict"), _LISTS),
        **dict.fromkeys(("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"), _CELLS),
        "functional": "use cavs.ops",
        "Bilinear": "use a Linear, reshape what it gives to a matrix, and multiply by that",
        "Identity": "leave it out",
        **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), "use cavs.nn.BatchNorm"),
        **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d"), "use cavs.nn.GroupNorm"),
        **dict.fromkeys(("MaxPool1d", "MaxPool2d"), "use ops.max_pool"),
        **dict.fromkeys(("AvgPool1d", "AvgPool2d"), "use ops.avg_pool"),
        "Upsample": "use ops.upsample",
        "MultiheadAttention": "use ops.attention, over the children of a vertex",
        **dict.fromkeys(("Transformer", "TransformerEncoder", "TransformerDecoder"), _LAYERS),
        **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), _LAYERS),
        **dict.fromkeys(("AdaptiveAvgPool1d", "AdaptiveAvgPool2d"), "use ops.mean(x, axis)"),
        **dict.fromkeys(("LazyConv1d", "LazyConv2d", "LazyLinear"), "say how many inputs it has"),
        **dict.fromkeys(("Conv3d", "ConvTranspose3d"), _TWO_AXES),
        "MaskedConv1d": "pad a Conv1d on one side, padding=(k - 1, 0), for a causal one",
        "utils": "use cavs.optim.clip_grad_norm, cavs.nn.WeightNorm or cavs.nn.SpectralNorm",
        "CrossEntropyLoss": "use ops.cross_entropy",
        "BCEWithLogitsLoss": "use ops.binary_cross_entropy_with_logits",
        "MSELoss": "use ops.squared_error",
    },
    "cavs.optim": {
        **dict.fromkeys(("lr_scheduler", "LambdaLR", "OneCycleLR", "MultiStepLR"), _RATES),
        "CosineAnnealingLR": "use cavs.optim.CosineLR",
        "LinearLR": "use cavs.optim.WarmupLinear",
    },
    "cavs.linalg": {
        "inv": "use cavs.linalg.solve(a, numpy.eye(n))",
        **dict.fromkeys(("slogdet", "det"), "use cavs.linalg.logdet of a positive definite matrix"),
        **dict.fromkeys(("matmul", "multi_dot"), "use x @ y"),
        "norm": "use ops.sqrt(ops.sum(x * x))",
        "solve_ex": "use cavs.linalg.solve",
        "cholesky_ex": "use cavs.linalg.cholesky",
    },
    "cavs.data": {
        "DataLoader": "use cavs.data.Loader",
        "TensorDataset": "use cavs.data.Dataset",
        "Tree": "use cavs.data.LabelledTree",
        **dict.fromkeys(
            ("read_json", "read_jsonl", "read_csv", "from_json", "from_csv"),
            "read the rows with json or csv, and use cavs.data.from_rows",
        ),
    },
}
_MODELS = {
    "cpu": 'use .to("cpu")',
    "cuda": 'use .to("cuda")',
    "double": 'use .to("float64")',
    "float": 'use .to("float32")',
    "forward": "call it",
}
_IN_PLACE = "no value is changed in place: assign the result, or write to x.data"
_CONVERTED = {"float": "float32", "double": "float64", "int": "int32", "long": "int32"}
_TENSORS = {
    **{name: f"use x.astype({dtype!r})" for name, dtype in _CONVERTED.items()},
    **dict.fromkeys(("view", "view_as", "flatten", "squeeze", "unsqueeze"), "use x.reshape(...)"),
    **dict.fromkeys(("mm", "bmm", "matmul", "dot", "mv"), "use x @ y"),
    **dict.fromkeys(("split", "chunk"), "use ops.split(x, ...)"),
    **dict.fromkeys(("expand", "expand_as"), "leave it out: shapes broadcast"),
    **dict.fromkeys(("clone", "copy", "contiguous"), "use x.detach(), or cavs.tensor(x.numpy())"),
    **dict.fromkeys(("t", "swapaxes"), "use x.T, or x.transpose(...)"),
    "__cuda_array_interface__": 'use x.to("cuda"), which has it',
    "clamp": "use x.clip(low, high)",
    "cpu": 'use x.to("cpu")',
    "cuda": 'use x.to("cuda")',
    "dim": "use x.ndim",
    "gather": "use ops.pick(x, ids)",
    "index_select": "use x[ids]",
    "masked_fill": "use ops.where(mask, value, x)",
    "norm": "use ops.sqrt(ops.sum(x * x))",
    "numel": "use x.size",
}


def of_package(
    package: str, elsewhere: Callable[[str], str | None] | None = None
) -> Callable[[str], Any]:
    """``__getattr__`` of a package; `elsewhere` says what to use of another one, or None."""
    known = _PACKAGES.get(package, {})

    def refuse(name: str) -> Any:
        instead = None
        if name[0] != "_":
            instead = known.get(name) or (elsewhere and elsewhere(name))
            near = not instead and _nearest(name, sys.modules[package].__all__)
            instead = f"use {package}.{near}" if near else instead
        raise AttributeError(
            f"[{package.rpartition('.')[2]}] expected a name among dir({package}), got {name!r}; "
            f"{instead or 'check how it is written'}",
            name=name,
        )

    return refuse


def _nearest(name: str, among: list[str]) -> str | None:
    from difflib import get_close_matches  # not with cavs: few need it

    by_case = {each.lower(): each for each in among}
    return by_case.get(next(iter(get_close_matches(name.lower(), by_case, 1, 0.8)), ""))


def of_model(what: str, name: str, held: Mapping[str, str]) -> AttributeError:
    """The error for an attribute of a model; `held` says where what it holds is."""
    instead = held.get(name) or _MODELS.get(name) or "look it up in its help()"
    return AttributeError(f"[model] expected an attribute of {what}, got {name!r}; {instead}")


def of_tensor(name: str, array: type) -> AttributeError:
    """The error for an attribute of a tensor; `array` is the class of NumPy's arrays."""
    instead = _TENSORS.get(name)
    if instead is None and name.endswith("_") and name[0] != "_":
        instead = _IN_PLACE
    if instead is None:
        instead = f"use x.numpy().{name}" if hasattr(array, name) else "use cavs.ops, or x.numpy()"
    return AttributeError(f"[tensor] expected an attribute of a tensor, got {name!r}; {instead}")
