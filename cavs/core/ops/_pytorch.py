"""What users of PyTorch look for among the operations and values here, and what to use instead."""

from __future__ import annotations

from typing import Any

_OPERATIONS = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "avg_pool1d": "avg_pool",
    "avg_pool2d": "avg_pool",
    "bmm": "matmul",
    "cat": "concat",
    "chunk": "split",
    "clamp": "clip",
    "clamp_max": "minimum",
    "clamp_min": "maximum",
    "concatenate": "concat",
    "cross_entropy_loss": "cross_entropy",
    "dot": "matmul",
    "eq": "equal",
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "ge": "greater_equal",
    "gt": "greater",
    "hstack": "concat",
    "index_select": "take",
    "inner": "matmul",
    "le": "less_equal",
    "lt": "less",
    "interpolate": "upsample",
    "max_pool1d": "max_pool",
    "max_pool2d": "max_pool",
    "masked_fill": "where",
    "mm": "matmul",
    "mv": "matmul",
    "prelu": "leaky_relu",
    "psi": "digamma",
    "rand_like": "uniform_like",
    "swish": "silu",
    "tensor_split": "split",
    "topk": "top_k",
    "vdot": "matmul",
}
"""Operations that have another name in PyTorch."""

_TO_OUTPUTS = "push it, and read the output of the model"
_PRECISION = (
    "leave it out: cavs.compile(..., dtype=...) chooses the precision, and ops.take(array, ids) "
    "makes numbers of ids"
)
_DEVICE = "leave it out: cavs.compile(..., device=...) chooses the device"
_IDS = 'pull ids by v.pull(name, dtype="int32")'
_GRADIENT = "push it, and call backward() of the model's output"
_UNCHANGED = "leave it out: no value is changed in place"
_BROADCAST = "leave it out: shapes broadcast"
_TRANSPOSED = "use x.T, or ops.permute(x, axes) with all axes"
_NUMBER = "use a number, which broadcasts"
_REMEDIES = {
    **dict.fromkeys(("item", "numpy", "tolist", "cpu"), _TO_OUTPUTS),
    **dict.fromkeys(("to", "type", "float", "double", "half", "bfloat16", "astype"), _PRECISION),
    **dict.fromkeys(("cuda", "device", "get_device", "is_cuda"), _DEVICE),
    **dict.fromkeys(("int", "long"), _IDS),
    **dict.fromkeys(("backward", "grad", "requires_grad", "retain_grad"), _GRADIENT),
    **dict.fromkeys(("contiguous", "clone"), _UNCHANGED),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _BROADCAST),
    **dict.fromkeys(("transpose", "t", "swapaxes", "mT", "movedim"), _TRANSPOSED),
    **dict.fromkeys(("zeros", "ones", "full", "zeros_like", "ones_like", "new_zeros"), _NUMBER),
    **dict.fromkeys(("rand", "uniform"), "use v.uniform(size)"),
    **dict.fromkeys(("randn", "randn_like"), "use v.normal(size)"),
    **dict.fromkeys(("view", "view_as", "flatten"), "use x.reshape(...)"),
    **dict.fromkeys(("add", "sub", "mul", "div"), "use the operators + - * /"),
    **dict.fromkeys(("subtract", "multiply", "divide"), "use the operators + - * /"),
    "__getitem__": "keep the table as a Parameter, and use ops.embedding(table, ids)",
    "__setitem__": _UNCHANGED,
    **dict.fromkeys(
        ("scaled_dot_product_attention", "multi_head_attention_forward"),
        "use ops.attention, over the children of a vertex",
    ),
    **dict.fromkeys(("conv3d", "conv_transpose3d"), "convolutions go over one axis or two"),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), "use ops.mean(x, axis)"),
    "pad": "use padding= of convolutions and pools, or ops.concat([x, zeros])",
    "unfold": "use ops.conv2d, which needs no columns, or slices of x",
    "binary_cross_entropy": "use ops.binary_cross_entropy_with_logits, of what sigmoid is taken of",
    "argmin": "use ops.argmax(-x)",
    "cdist": "use ops.sqrt(ops.sum(ops.square(x[:, None] - y), axis=-1))",
    "data": "use x.detach()",
    "dim": "use x.ndim",
    "einsum": "use ops.matmul, or ops.sum of a product over axes",
    "gather": "use ops.pick(x, ids) for elements, v.gather(...) for the states of children",
    "hardtanh": "use ops.clip(x, -1.0, 1.0)",
    "logsigmoid": "use -ops.softplus(-x)",
    "mse_loss": "use ops.mean(ops.squared_error(x, y))",
    "multinomial": "use ops.categorical(scores), of what softmax is taken of",
    "neg": "use -x",
    "nelement": "use x.size",
    "nll_loss": "use ops.cross_entropy(scores, ids), of what log_softmax is taken of",
    "normalize": "use x * ops.rsqrt(ops.sum(ops.square(x)))",
    "norm": "use ops.sqrt(ops.sum(ops.square(x)))",
    "numel": "use x.size",
    "randint": "use ops.argmax(v.uniform(size))",
    "relu6": "use ops.clip(x, 0.0, 6.0)",
    "scatter": "use v.scatter(...) for states, ops.one_hot(ids, size) for elements",
    "squeeze": "use x.reshape(-1), or x.reshape(...) with the shape that stays",
    "std": "use ops.sqrt(ops.sum(ops.square(x - ops.mean(x))) / (x.size - 1))",
    "true_divide": "use the operators + - * /",
    "unsqueeze": "use x[None], or x[..., None]",
    "var": "use ops.sum(ops.square(x - ops.mean(x))) / (x.size - 1)",
}
"""What to write for what is no operation here; x, y, w and ids stand for values of F."""


def instead_of(name: str) -> str | None:
    """What to use for what PyTorch calls `name`; None where nothing is known."""
    from cavs.core import ops  # which imports this module

    if name.endswith("_") and not name.startswith("_"):
        same = instead_of(name[:-1])
        return f"{same or 'use the operations of cavs.ops'}: no value is changed in place"
    own = _OPERATIONS.get(name, name)
    return f"use ops.{own}" if own in dir(ops) else _REMEDIES.get(name)


def no_such_operation(name: str) -> Any:
    """Raises AttributeError for an operation that is not there, with what to use for it."""
    from difflib import get_close_matches  # not with cavs: few need it

    from cavs.core import ops

    expected, instead = "an operation of cavs.ops", None if name[0] == "_" else instead_of(name)
    if instead is None:
        operations = [each for each in dir(ops) if each.islower()]
        near = get_close_matches(name, operations, 1, 0.75)  # not rsqrt for argsort
        expected = f"one of {', '.join(operations)}"
        instead = f"use ops.{near[0]}" if near else "compute it from these"
    raise AttributeError(f"[ops] expected {expected}, got {name!r}; {instead}")


def name_of(function: Any) -> str:
    """A function of PyTorch as its users write it."""
    name = getattr(function, "__name__", None) or type(function).__name__
    module = str(getattr(function, "__module__", None) or "torch")
    if hasattr(function, "__objclass__"):
        return f"torch.Tensor.{name}"
    if module.endswith("_C._nn"):
        module = "torch.nn.functional"
    return f"{'torch' if '._' in module else module}.{name}"
