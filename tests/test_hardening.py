"""The extension as the linker and the compiler were told to make it, read from its ELF headers."""

from __future__ import annotations

import struct
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from cavs.execution.settings import compiles_groups

EXTENSION = Path(str(import_module("cavs._core").__file__))
CONTENT = EXTENSION.read_bytes()

pytestmark = [
    pytest.mark.skipif(CONTENT[:5] != b"\x7fELF\x02", reason="no ELF file of 64 bits"),
    pytest.mark.skipif(b"__asan_init" in CONTENT or b"__tsan_init" in CONTENT, reason="sanitizers"),
]

DYNAMIC, RELRO, STACK = 2, 0x6474E552, 0x6474E551
STRINGS, STRINGS_SIZE, BIND_NOW, FLAGS, FLAGS_1 = 5, 10, 24, 30, 0x6FFFFFFB
EXECUTABLE = 1


class Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    size: int


def segments() -> list[Segment]:
    (start,) = struct.unpack_from("<Q", CONTENT, 32)
    size, count = struct.unpack_from("<HH", CONTENT, 54)
    found = []
    for number in range(count):
        at = start + number * size
        kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", CONTENT, at)
        found.append(Segment(kind, flags, offset, address, length))
    return found


def dynamic() -> dict[int, int]:
    (segment,) = (s for s in segments() if s.kind == DYNAMIC)
    pairs = [
        struct.unpack_from("<qQ", CONTENT, segment.offset + i) for i in range(0, segment.size, 16)
    ]
    return dict(pairs)


def symbol_names() -> list[bytes]:
    entries = dynamic()
    address = entries[STRINGS]
    (holder,) = (s for s in segments() if s.kind == 1 and s.address <= address < s.address + s.size)
    begin = address - holder.address + holder.offset
    return CONTENT[begin : begin + entries[STRINGS_SIZE]].split(b"\0")


def test_tables_of_calls_are_read_only_once_loaded() -> None:
    """Full RELRO: all symbols are bound at once, and the table is protected then."""
    assert any(s.kind == RELRO and s.size > 0 for s in segments())
    entries = dynamic()
    bound = BIND_NOW in entries or entries.get(FLAGS, 0) & 8 or entries.get(FLAGS_1, 0) & 1
    assert bound


def test_the_stack_holds_no_code_and_overflows_are_noticed() -> None:
    assert all(not s.flags & EXECUTABLE for s in segments() if s.kind == STACK)
    assert b"__stack_chk_fail" in symbol_names()


def test_calls_of_the_c_library_know_the_sizes_of_their_buffers() -> None:
    assert any(name.startswith(b"__") and name.endswith(b"_chk") for name in symbol_names())


GROUP = """
import numpy as np, cavs
class Group(cavs.VertexFunction):
    def forward(self, v):
        v.push(y=cavs.ops.tanh(v.pull("x", 32)) * 2.0)
model = cavs.compile(Group())  # kept, and so is its code
model(cavs.InputGraph([[]]), x=np.ones((1, 32), np.float32))
print(open("/proc/self/maps").read())
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux says what is mapped")
@pytest.mark.skipif(not compiles_groups(), reason="groups are interpreted here")
def test_memory_of_compiled_groups_is_never_writable() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROUP], capture_output=True, text=True, check=True, timeout=300
    )
    mapped = [line.split() for line in done.stdout.splitlines() if line]
    assert [x for x in mapped if "w" in x[1] and "x" in x[1]] == []
    assert [x for x in mapped if "x" in x[1] and len(x) == 5]  # of no file: a group's code
