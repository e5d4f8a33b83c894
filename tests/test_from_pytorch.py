"""What the page for users of PyTorch shows runs as written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "from-pytorch.md"
ROWS = re.findall(r"^\| `(.*)` \| `(.*)` \|$", PAGE.read_text(encoding="utf-8"), re.M)
RNG = np.random.default_rng(1)
VALUES = {
    "x": RNG.normal(size=(3, 6)),
    "y": RNG.normal(size=(3, 6)),
    "m": RNG.normal(size=(3, 2, 3)),
    "b": np.float64([[1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0]]),
    "i": np.int32([0, 5, 3]),
}
PARAMETERS = {"w": RNG.normal(size=(4, 6)), "table": RNG.normal(size=(6, 2))}


class Row(cavs.VertexFunction):
    """What the right side of a row of the table gives."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.w, self.table = nn.Parameter(PARAMETERS["w"]), nn.Parameter(PARAMETERS["table"])

    def forward(self, v: cavs.Vertex) -> None:
        names: dict[str, Any] = {"ops": ops, "np": np, "w": self.w, "table": self.table}
        for name, value in VALUES.items():
            names[name] = v.pull(name, value.shape[1:], "int32" if name == "i" else "float32")
        used = 0.0 * (names["x"] + names["y"] + names["b"]).sum() + 0.0 * names["m"].sum()
        v.push(y=eval(self.code, names) + used + 0.0 * ops.pick(names["x"], names["i"]))


@pytest.mark.parametrize(("theirs", "ours"), ROWS, ids=[theirs for theirs, _ in ROWS])
def test_a_row_of_the_table_is_true(theirs: str, ours: str) -> None:
    torch = pytest.importorskip("torch")
    found = cavs.compile(Row(ours), dtype="float64")(cavs.InputGraph([[]] * 3), **VALUES)["y"].data
    for vertex in range(3):
        values = {**{k: x[vertex] for k, x in VALUES.items()}, **PARAMETERS}
        names = {name: torch.as_tensor(x) for name, x in values.items()}
        names["i"] = names["i"].long()
        expected = eval(theirs, {"torch": torch, "F": torch.nn.functional, **names})
        np.testing.assert_allclose(found[vertex], np.asarray(expected), rtol=1e-6, atol=1e-12)


def test_the_table_has_rows() -> None:
    assert len(ROWS) > 35


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) > 3
    monkeypatch.chdir(tmp_path)  # for what it saves
    names: dict[str, Any] = {"__name__": "from_pytorch"}
    exec(compile("\n".join(blocks), "from-pytorch.md", "exec"), names)
    (shown,) = re.findall(r"^```\n(Tagger: .*?)\n```$", text, re.S | re.M)
    printed, page = (re.sub(r"[\d.]+ KiB", "KiB", x) for x in (names["text"], shown))
    assert printed == page  # but for memory, which depends on the machine
    assert re.search(r"docs/from-pytorch\.md", (ROOT / "README.md").read_text(encoding="utf-8"))
