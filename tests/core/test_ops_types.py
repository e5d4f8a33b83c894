"""What a type checker sees of operations: tensors give tensors, symbols symbols."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cavs

TENSOR, SYMBOL = "cavs.tensor._tensor.Tensor", "cavs.core.ir.Node"
TYPES = {
    **dict.fromkeys(
        (
            *("x + 1", "1 - x", "p * x", "x @ p", "2.0**x", "x**2", "-x", "abs(x)", "x == 1.0"),
            *("x < p", "x[0]", "x.T", "x.sum()", "p.mean(0)", "x.tanh()", "p.exp()", "ops.exp(p)"),
            *("ops.maximum(0.0, x)", "ops.where(x, 0.0, p)", "ops.linear(x, p)", "ops.sum(x, 0)"),
            *("cavs.concat([x, 1.0])", "cavs.stack([x])", "ops.cross_entropy(x, p)", "x.pow(2)"),
            *("ops.concat([x, x])", "ops.reshape(x, 1)", "ops.softmax(x)", "ops.equal(x, 1)"),
        ),
        TENSOR,
    ),
    **dict.fromkeys(
        (
            *("s + 1", "1 - s", "p * s", "s * p", "p @ s", "p**s", "-s", "s.tanh()", "s.sum()"),
            *("ops.exp(s)", "ops.maximum(p, s)", "ops.where(s, p, 0.0)", "ops.linear(s, p, p)"),
            *("ops.embedding(p, s)", "ops.layer_norm(s, p, p)", "ops.dropout(s, 0.5)"),
            *("ops.concat([s, s])", "ops.split(s, 2)[0]", "ops.segment_max(s)", "s.exp()"),
        ),
        SYMBOL,
    ),
}


@pytest.mark.slow
def test_types_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api")
    root = Path(cavs.__file__).parents[1]
    if root.name != "site-packages":  # mypy does not follow the finder of an editable install
        monkeypatch.setenv("MYPYPATH", str(root))
    lines = [
        "import cavs",
        "from cavs import ops",
        "def f(x: cavs.Tensor, p: cavs.Parameter, v: cavs.Vertex) -> None:",
        "    s = v.pull('x', 1)",
        *(f"    reveal_type({expression})" for expression in TYPES),
    ]
    path = tmp_path / "uses.py"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    output, errors, _ = api.run([*arguments, str(path)])
    found = re.findall(r'Revealed type is "(.*)"', output)
    assert len(found) == len(TYPES), output + errors
    assert dict(zip(TYPES, found, strict=True)) == TYPES
