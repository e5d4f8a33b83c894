"""What the page for users of PyTorch shows runs as written."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "from-pytorch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) > 3
    monkeypatch.chdir(tmp_path)  # for what it saves
    names: dict[str, Any] = {"__name__": "from_pytorch"}
    exec(compile("\n".join(blocks), "from-pytorch.md", "exec"), names)
    assert re.search(r"docs/from-pytorch\.md", (ROOT / "README.md").read_text(encoding="utf-8"))
