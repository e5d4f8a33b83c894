"""Dynamic declaration in the manner of DyNet, over the kernels of cavs: a baseline.

A computation graph is declared for every sample, node by node; nothing is computed before
``forward`` is asked for. It then runs by one of three policies: ``none`` (node by node), ``depth``
or ``agenda`` (on-the-fly batching, Neubig, Goldberg and Dyer 2017). So against cavs the method
differs, and neither the products nor the loops::

    parameters = Parameters()
    w, table = parameters.add("w", array), parameters.add("words", rows, is_lookup=True)
    g = Graph(parameters, "agenda")
    for sample in data:
        g.renew()
        parameters.zero_gradients()
        loss = g.pick_neg_log_softmax(g.affine(-1, w, g.lookup(table, sample.word)), sample.label)
        g.forward(loss)
        g.backward(loss)
        parameters.adagrad(0.05, 1e-10)

Expressions and parameters are numbers; expressions end with ``renew()``. The native module is built
by ``python benchmarks/build_dynamic.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import scipy_openblas32

import cavs  # noqa: F401  (whose errors those of the native module become)
from dynamic import _dynamic

__all__ = ["Graph", "Parameters", "set_num_threads"]

Graph: Any = _dynamic.Graph
Parameters: Any = _dynamic.Parameters
set_num_threads: Any = _dynamic.set_num_threads


def _load_blas() -> None:
    folder = Path(scipy_openblas32.get_lib_dir())
    for path in sorted(folder.glob("libscipy_openblas*.so*")):
        _dynamic.load_blas(str(path))
        return
    raise ImportError(
        f"[dynamic] expected libscipy_openblas.so in {folder}, got none; reinstall scipy-openblas32"
    )


_load_blas()
