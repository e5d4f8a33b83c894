"""ListOps in columns: as published (Nangia & Bowman 2018), and as Long Range Arena has it.

A line of the original is the value, a tab and the expression; a file of Long Range Arena (Tay et
al. 2021) begins with the names of its columns, ``Source`` and ``Target``. Both write round brackets
that make the expression binary, ``( ( ( [MAX 2 ) 9 ) ] )``; they say nothing else, and are dropped.
"""

from __future__ import annotations

from cavs.data._progress import shown_while
from cavs.data._text import PathLike, fail, quoted, read_lines
from cavs.data.listops import DIGITS, parse_listops
from cavs.data.trees import LabelledTree

_EXPECTED = "ListOps in columns, a value and an expression on each line"
_ROUND = str.maketrans("()", "  ")


def read_listops_tsv(path: PathLike, *, progress: bool = False) -> list[LabelledTree]:
    """Read a file of ListOps expressions with their values; blank lines are skipped.

    Args:
      path: a UTF-8 file whose columns are parted by tabs. Where its first line names the columns
        ``Source`` and ``Target``, these are read, in any order and beside others; else the value
        stands first and the expression second.
      progress: show a bar on standard error.

    Returns:
      A tree for each line, as `parse_listops` gives it: every vertex is labelled with its value.

    Raises:
      DataError: a column is missing, round brackets do not match, an expression is malformed, or
        its value is not the one in the file; names file, line and, within expressions, column.
    """
    lines = read_lines(path, _EXPECTED)
    source = str(path)
    header = [name.strip().lower() for name in lines[0].split("\t")]
    named = "source" in header or "target" in header
    if named and not {"source", "target"} <= set(header):
        fail(
            source,
            f"expected the columns Source and Target, got {quoted(lines[0])}; name both",
            line=1,
        )
    expression_at = header.index("source") if named else 1
    value_at = header.index("target") if named else 0
    trees = []
    numbered = list(enumerate(lines, 1))[named:]
    for number, line in shown_while(numbered, progress, "expressions", len(numbered)):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) <= max(expression_at, value_at) or (named and len(columns) != len(header)):
            fail(
                source,
                f"expected {len(header) if named else 2} columns parted by tabs, got "
                f"{len(columns)}; write them",
                line=number,
            )
        value = columns[value_at].strip()
        if value not in DIGITS:
            fail(
                source,
                f"expected the value of the expression, 0..9, got {quoted(value)}; write it",
                line=number,
            )
        # Padded, so that an error names the column of the line.
        before = sum(len(column) + 1 for column in columns[:expression_at])
        text = " " * before + _without_round(columns[expression_at], source, number)
        tree = parse_listops(text, source=source, line=number)
        if tree.root_label != int(value):
            fail(
                source,
                f"expected the value {tree.root_label} of the expression, got {value}; correct it",
                line=number,
            )
        trees.append(tree)
    return trees


def _without_round(text: str, source: str, line: int) -> str:
    """The expression with blanks in place of its round brackets, which must match."""
    depth = 0
    if "(" in text or ")" in text:
        for column, character in enumerate(text, 1):
            depth += (character == "(") - (character == ")")
            if depth < 0:
                fail(
                    source,
                    f"expected '(' before each ')', got none for the one at character {column} of "
                    "the expression; remove it",
                    line=line,
                )
    if depth:
        fail(source, f"expected ')' for each '(', got {depth} not closed; close them", line=line)
    return text.translate(_ROUND)
