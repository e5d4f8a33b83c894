"""Vertex functions as layers of PyTorch; nothing else in cavs imports ``torch``.

:class:`Layer` is a ``torch.nn.Module`` whose parameters share their memory with cavs's. The
optimizers in :mod:`cavs.torch.optim` are PyTorch's with cavs's updates. See docs/pytorch.md.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"[torch] expected PyTorch for cavs.torch, got none ({error}); install it with: "
        "pip install torch"
    ) from None

from cavs._signatures import publish as _publish
from cavs.torch import optim as optim
from cavs.torch.clip import clip_grad_norm_ as clip_grad_norm_
from cavs.torch.layer import Layer as Layer

_publish(__name__, "optim")
