"""The files on two ways: from a class to its program, and from an input to its kernel.

    python tools/ways.py            # of the version that this interpreter imports

A way is the files in the order in which they are first entered, found by running: a child-sum
Tree-LSTM is compiled and lowered; then it is called, for the second time, for inference. A file
*comes back* if it lies in a folder that the way had left. Python files are seen always, C++ files
where the extension was built with `-DCMAKE_CXX_FLAGS="-finstrument-functions -g1"` (addr2line from
binutils finds the file of a function; a C compiler is needed for the hook).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_HOOK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static struct { void* function; long long ns; } entered[1 << 16];
static int count = 0;
static __thread int inside = 0;
int ways_on = 0;
__attribute__((no_instrument_function)) void __cyg_profile_func_enter(void* f, void* site) {
  if (!ways_on || inside) return;
  inside = 1;
  int known = 0;
  for (int i = 0; i < count && !known; ++i) known = entered[i].function == f;
  if (!known && count < (1 << 16)) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    entered[count].function = f;
    entered[count++].ns = now.tv_sec * 1000000000LL + now.tv_nsec;
  }
  inside = 0;
}
__attribute__((no_instrument_function)) void __cyg_profile_func_exit(void* f, void* site) {}
int ways_count(void) { return count; }
long long ways_time(int i) { return entered[i].ns; }
const char* ways_where(int i, long long* offset) {
  Dl_info info;
  if (!dladdr(entered[i].function, &info)) return "";
  *offset = (char*)entered[i].function - (char*)info.dli_fbase;
  return info.dli_fname;
}
"""


def start_again_with_hook() -> None:
    """Replaces the process by one in which the hook is loaded before the extension."""
    folder = Path(tempfile.mkdtemp())
    source = folder / "hook.c"
    source.write_text(_HOOK, encoding="utf-8")
    library = folder / "hook.so"
    compiler = os.environ.get("CC", "gcc")
    command = [compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    environment = os.environ | {"LD_PRELOAD": str(library), "CAVS_WAYS_HOOK": str(library)}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


class Way:
    """Files in the order in which they are first entered while it is recorded."""

    def __init__(self, root: Path, hook: Any) -> None:
        self._root, self._hook = root, hook
        self._entered: dict[str, int] = {}
        self._before = 0 if hook is None else hook.ways_count()

    def _enter(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            self._entered.setdefault(frame.f_code.co_filename, time.monotonic_ns())

    def record(self, work: Callable[[], object]) -> list[str]:
        """The files, relative to the root."""
        if self._hook is not None:
            ctypes.c_int.in_dll(self._hook, "ways_on").value = 1
        sys.setprofile(self._enter)
        try:
            work()
        finally:
            sys.setprofile(None)
            if self._hook is not None:
                ctypes.c_int.in_dll(self._hook, "ways_on").value = 0
        times = dict(self._entered)
        for path, moment in self._native():
            times[path] = min(moment, times.get(path, moment))
        ordered = sorted(times, key=lambda path: times[path])
        roots = (f"{self._root}/cavs/", f"{self._root}/csrc/")
        return [os.path.relpath(path, self._root) for path in ordered if path.startswith(roots)]

    def _native(self) -> list[tuple[str, int]]:
        if self._hook is None:
            return []
        offset = ctypes.c_longlong()
        found: dict[str, list[tuple[int, int]]] = {}
        for i in range(self._before, self._hook.ways_count()):
            library = self._hook.ways_where(i, ctypes.byref(offset)).decode()
            found.setdefault(library, []).append((offset.value, self._hook.ways_time(i)))
        files: list[tuple[str, int]] = []
        for library, functions in found.items():
            if "/cavs/_core" not in library:
                continue
            addresses = "\n".join(hex(offset) for offset, _ in functions)
            lines = subprocess.run(
                ["addr2line", "-e", library],
                input=addresses,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
            for line, (_, moment) in zip(lines, functions, strict=True):
                files.append((os.path.normpath(line.rsplit(":", 1)[0]), moment))
        return files


def returns(files: list[str]) -> tuple[list[str], int]:
    """The folders that a way passes, and how often it comes back to one that it had left."""
    folders, count, last = [], 0, ""
    for folder in (os.path.dirname(file) for file in files):
        if folder == last:
            continue
        count += folder in folders
        if folder not in folders:
            folders.append(folder)
        last = folder
    return folders, count


def show(title: str, files: list[str]) -> None:
    folders, count = returns(files)
    print(f"{title}: {len(files)} files in {len(folders)} folders, {count} times back")
    for file in files:
        print(f"  {file}")


def main() -> None:
    if "CAVS_WAYS_HOOK" not in os.environ:
        start_again_with_hook()
    import numpy as np

    import cavs
    from cavs.models import ChildSumTreeLSTM

    hook = ctypes.CDLL(os.environ["CAVS_WAYS_HOOK"])
    hook.ways_where.restype = ctypes.c_char_p
    hook.ways_time.restype = ctypes.c_longlong
    root = Path(cavs.__file__).resolve().parents[1]
    cavs.set_num_threads(1)
    # Sizes for which groups become machine code and weights are packed.
    function = ChildSumTreeLSTM(50, 64, 64, 5)
    made: list[Any] = []

    def to_program() -> None:
        made.append(cavs.compile(function))
        _ = made[0].program

    show("a class to its program", Way(root, hook).record(to_program))
    graphs = cavs.batch([cavs.InputGraph(children=[[], [], [0, 1]])] * 16)
    words = np.arange(48, dtype=np.int32) % 50
    labels = np.zeros(48, np.int32)
    with cavs.no_grad():
        made[0](graphs, word=words, label=labels)  # this call makes everything that is made once
        way = Way(root, hook).record(lambda: made[0](graphs, word=words, label=labels))
    show("an input to its kernel", way)


if __name__ == "__main__":
    main()
