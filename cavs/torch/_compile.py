"""A layer within ``torch.compile``: a break in its graph, since the layer is compiled already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def uncompiled(
    layer: torch.nn.Module, graphs: Any, inputs: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """The layer's results, without ``torch.compile`` looking into it."""
    import torch._dynamo  # not with cavs: it takes seconds, and is there when this is called

    outputs: dict[str, torch.Tensor] = torch._dynamo.disable(layer.forward)(graphs, **inputs)
    return outputs


# What `torch.compiler.disable` sets, which would import all of the compiler here.
uncompiled._torchdynamo_disable = True  # type: ignore[attr-defined]
uncompiled._torchdynamo_disable_msg = "a layer of cavs is compiled already"  # type: ignore[attr-defined]
