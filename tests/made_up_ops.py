"""What adding an operation takes: two made-up ones as scripted changes of a copy of the sources."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cavs

ROOT = Path(__file__).resolve().parents[1]

Change = tuple[str, Callable[[str], str | None]]
"""A file of the sources, by a pattern that may fit several, and what becomes of its text; None for
a file that is not meant."""


def _behind(pattern: str, text: str) -> Callable[[str], str | None]:
    """Puts `text` behind what the pattern finds, which is there once."""

    def change(source: str) -> str | None:
        found = re.search(pattern, source, re.MULTILINE)
        return found and source[: found.end()] + text + source[found.end() :]

    return change


def _line_again(name: str, other: str) -> Callable[[str], str | None]:
    """Repeats the line with `name`, with the `other` name."""

    def change(source: str) -> str | None:
        lines = source.splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if name in line]
        for number in reversed(found):
            lines.insert(number + 1, lines[number].replace(name, other))
        return "".join(lines) if found else None

    return change


ELEMENTWISE: list[Change] = [
    (
        "cavs/core/ops/elementwise.py",
        _behind(
            r"^IDENTITY = row\([^#]*?^\)\n",
            """CUBE = row(
    "cube", 1, 2, lambda dy, y, x: (dy * 3.0 * x * x,), lambda np, x: x * x * x
)
""",
        ),
    ),
    (
        "csrc/**/scalar_ops.h",
        _behind(r"^  OP\(identity, 1, a\) .*\n", "  OP(cube, 1, a* a* a) \\\n"),
    ),
    ("tests/ops_cases.py", _behind(r"^_UNARY = {\n", '    "cube": ("spread", "saturating"),\n')),
]
"""Its row, its formula, its case."""

REDUCTION: list[Change] = [
    (
        "cavs/core/ops/reduce.py",
        _behind(
            r"^    reference=lambda np, x, axis=-1: x\.max\(axis=axis\),\n\)\n",
            """ROW_SUM_OF_SQUARES = define(
    "row_sum_of_squares",
    arity=1,
    infer=_drop_axis,
    flops=lambda shapes, out: 2 * size_of(shapes[0]),
    vjp=lambda dy, y, x: (spread_along(dy, x.shape) * 2.0 * x,),
    zero_with=(0,),
    attributes=along_last_axis,
    reference=lambda np, x: (x * x).sum(axis=-1),
)
""",
        ),
    ),
    (
        "csrc/cpu/kernels/reductions.inl.h",
        _behind(
            r"^void row_sum\(const KernelCall& call\) {\n(  .*\n)+}\n",
            """
template <class T>
void row_sum_of_squares(const KernelCall& call) {
  for_each_group<T>(call, true, [](const T* x, T* y, int64_t n) {
    T total = 0;
    for (int64_t i = 0; i < n; ++i) total += x[i] * x[i];
    *y = total;
  });
}
""",
        ),
    ),
    (
        "csrc/cpu/isa_table.inl.h",
        _behind(r"CAVS_KERNEL\(row_sum\),", "\n    CAVS_KERNEL(row_sum_of_squares),"),
    ),
    ("csrc/program/*.cpp", _line_again('{"row_sum",', '{"row_sum_of_squares",')),
    ("tests/ops_cases.py", _behind(r'for op in \("row_sum", ', '"row_sum_of_squares", ')),
]
"""Its row, its kernel for the CPU and what programs may ask of it, its case."""


def copy_sources(folder: Path) -> None:
    """The sources and the package as it is built, which tests in the copy then import."""
    for name in ("csrc", "cmake", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    package = Path(cavs.__file__).parent
    shutil.copytree(package, folder / "cavs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)


def add(changes: list[Change], folder: Path) -> list[str]:
    """Changes the copy; gives the files that this takes."""
    touched = []
    for pattern, change in changes:
        fitting = []
        for path in sorted(folder.glob(pattern)):
            text = change(path.read_text(encoding="utf-8"))
            if text is not None:
                path.write_text(text, encoding="utf-8")
                fitting.append(str(path.relative_to(folder)))
        assert len(fitting) == 1, (pattern, fitting)
        touched += fitting
    return touched
