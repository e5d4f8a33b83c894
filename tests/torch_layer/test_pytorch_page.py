"""What docs/pytorch.md shows runs."""

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_what_docs_show_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    docs = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", docs, re.S | re.M)
    assert len(blocks) == 9
    names: dict[str, Any] = {"__name__": "pytorch"}
    for block in blocks:
        exec(compile(block, "pytorch.md", "exec"), names)
