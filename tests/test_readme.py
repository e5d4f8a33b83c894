"""What README shows runs as written."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M)
    return [text for name, text in fenced if name == language]


def test_example_runs_and_learns(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = _blocks("python")
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    assert float(capsys.readouterr().out) < 0.5  # 7 vertices start near 7 log 5 = 11.3


def test_quick_start_has_two_commands() -> None:
    section = README.split("## Quick start", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M)
    assert [len(block.strip().splitlines()) for block in blocks] == [1, 1]


def test_commands_parse() -> None:
    from cavs.cli.main import make_parser

    lines = [line.split(" #")[0] for block in _blocks("") for line in block.splitlines()]
    commands = [line.split("|")[-1].strip() for line in lines if "cavs " in line]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "cavs"
        make_parser().parse_args(arguments)
