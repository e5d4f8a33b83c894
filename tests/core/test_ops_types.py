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
            *(
                "s > 0",
                "s == 1.0",
                "s[0]",
                "s[..., 1:]",
                "s.reshape(-1)",
                "s.T",
                "s.detach()",
            ),
            *("ops.pick(s, i)", "ops.pick(p, i)", "ops.one_hot(i, 3)", "ops.greater(s, p)"),
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
        "    s, i = v.pull('x', 1), v.pull('i', dtype='int32')",
        *(f"    reveal_type({expression})" for expression in TYPES),
    ]
    path = tmp_path / "uses.py"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    output, errors, _ = api.run([*arguments, str(path)])
    found = re.findall(r'Revealed type is "(.*)"', output)
    assert len(found) == len(TYPES), output + errors
    assert dict(zip(TYPES, found, strict=True)) == TYPES


LAYERS = """
from __future__ import annotations
from typing import TypeVar
import cavs
from cavs import nn, ops

Value = TypeVar("Value", cavs.Symbol, cavs.Tensor)


class Gate(nn.Module):
    def __init__(self, size: int) -> None:
        self.u, self.w = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: cavs.Symbol, h: cavs.Symbol, *, scale: float = 1.0) -> cavs.Symbol:
        y: cavs.Symbol = self.u(x) + self.w(h)
        mask: cavs.Symbol = (y > 0.0) * scale
        parts = ops.split(ops.concat([ops.tanh(y), mask]), 2)
        return ops.where(y >= x, parts[0], parts[1][..., :1]) * x.sum() + x[0] - x.reshape(-1)


class Both(nn.Module):
    def forward(self, x: Value) -> Value:
        return ops.relu(x) * 2.0 + x.exp()


class Cell(cavs.VertexFunction):
    def __init__(self) -> None:
        self.gate = Gate(3).requires_grad_(False)

    def forward(self, v: cavs.Vertex) -> None:
        x: cavs.Symbol = v.pull("x", 3)
        h: cavs.Symbol = self.gate(x, v.gather(h=3).h.sum())
        picked: cavs.Symbol = ops.pick(h, v.pull("i", dtype="int32"))
        v.scatter(h=h, one=1.0)
        v.push(y=picked)
"""


@pytest.mark.slow
def test_a_layer_with_annotations_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api")
    root = Path(cavs.__file__).parents[1]
    if root.name != "site-packages":
        monkeypatch.setenv("MYPYPATH", str(root))
    path = tmp_path / "layers.py"
    path.write_text(LAYERS, encoding="utf-8")
    output, errors, status = api.run(
        # As of an installed package, whose own imports are not the user's.
        ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"), str(path)]
    )
    assert status == 0, output + errors
    names: dict[str, object] = {}
    exec(LAYERS, names)
    cell = names["Cell"]
    assert isinstance(cell, type)
    cavs.compile(cell())
