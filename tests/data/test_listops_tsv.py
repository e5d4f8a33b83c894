"""ListOps in columns, as the two publications write them."""

from pathlib import Path

import pytest

from cavs.data import parse_listops, read_listops_tsv
from cavs.errors import DataError, InputError

NESTED = "[MAX 2 9 [MIN 4 7 ] 0 ]"
BINARY = "( ( ( ( ( [MAX 2 ) 9 ) ( ( ( [MIN 4 ) 7 ) ] ) ) 0 ) ] )"


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("progress", [False, True])
def test_both_layouts_give_the_same_trees(tmp_path: Path, progress: bool) -> None:
    trees = [parse_listops(NESTED), parse_listops("[SM 5 6 [MED 1 9 3 4 ] ]"), parse_listops("7")]
    others = ["( ( ( ( [SM 5 ) 6 ) ( ( ( ( ( [MED 1 ) 9 ) 3 ) 4 ) ] ) ) ] )", "7"]
    original = _write(tmp_path / "a.tsv", f"9\t{BINARY}", f"4\t{others[0]}", "", f"7\t{others[1]}")
    assert read_listops_tsv(original, progress=progress) == trees
    arena = _write(
        tmp_path / "b.tsv", "Source\tTarget", f"{BINARY}\t9", f"{others[0]}\t4", f"{others[1]}\t7"
    )
    assert read_listops_tsv(arena, progress=progress) == trees
    more = _write(tmp_path / "c.tsv", "id\tTarget\tSource", f"a\t9\t{NESTED}")
    assert read_listops_tsv(more) == trees[:1]


def test_progress_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_listops_tsv(_write(tmp_path / "a.tsv", f"9\t{NESTED}"), progress=True)
    assert "expressions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["Source\tTarget", f"{NESTED}\t8"], "line 2: expected the value 9 of the expression"),
        (["Source\tvalue", f"{NESTED}\t9"], "line 1: expected the columns Source and Target"),
        (["Source\tTarget", NESTED], "line 2: expected 2 columns parted by tabs, got 1"),
        (["Source\tTarget", f"{NESTED}\t9\tx"], "line 2: expected 2 columns .* got 3"),
        ([NESTED], "line 1: expected 2 columns"),
        ([f"x\t{NESTED}"], r"line 1: expected the value of the expression, 0\.\.9, got 'x'"),
        (["9\t[MAX 2 9 [MEN 4 ] ]"], "line 1, column 12: expected an operator"),
        (["9\t( ( [MAX 2 ) 9 ]"], r"line 1: expected '\)' for each '\(', got 1 not closed"),
        (["9\t[MAX 2 ) 9 ]"], r"line 1: expected '\(' before each '\)'"),
        (["9\t[MAX 2 9"], "line 1: expected ']' for each"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, lines: list[str], text: str) -> None:
    path = _write(tmp_path / "broken.tsv", *lines)
    with pytest.raises(DataError, match=rf"\[data\] {path}, {text}"):
        read_listops_tsv(path)


def test_other_arguments(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_listops_tsv(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="True or False as progress"):
        read_listops_tsv(_write(tmp_path / "a.tsv", f"9\t{NESTED}"), progress=1)  # type: ignore[arg-type]
