"""Imports point one way, in Python and in C++; the tables below are the architecture.

A file that belongs to no layer fails too: whoever adds a module says where it stands.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A layer may import itself and the layers that it names, which stand above it; each is used.
_BASE = ("errors", "_arguments")
PYTHON_LAYERS: dict[str, tuple[str, ...]] = {
    "_printable": (),
    "errors": ("_printable",),
    "_locks": (),
    "_files": ("errors",),
    "_startup": (),
    "_seed": (),
    "_missing": (),
    "_signatures": ("_missing",),
    "_arguments": ("errors",),
    "_native": ("errors",),
    "_arrays": (*_BASE, "_native"),
    "device": (*_BASE, "_native", "_arrays"),
    "cuda": ("errors", "_native", "_signatures", "device"),
    # F: what is computed
    "core.attributes": (),
    "core.ops": (*_BASE, "core.attributes"),
    "core": (*_BASE, "_locks", "core.attributes", "core.ops"),
    "kernels": ("_native", "core.attributes", "core.ops", "core"),
    # G: over which vertices
    "scheduler": (*_BASE, "_native"),
    "memory": ("_native",),
    # F and G meet
    "execution": (
        *("errors", "_arguments", "_files", "_locks", "_native", "_arrays", "device"),
        *("core.ops", "core", "kernels", "scheduler", "memory"),
    ),
    # What users hold
    "tensor": (*_BASE, "_missing", "_locks", "_seed", "_arrays", "device", "core.ops", "core"),
    "nn": ("device", *_BASE, "_locks", "_arrays", "core.ops", "core", "tensor"),
    "optim": (*_BASE, "_native", "_arrays", "device", "core", "tensor"),
    "typed_inputs": ("errors", "_arrays", "core.ops", "core", "scheduler", "execution"),
    "child_places": ("errors", "_arrays", "core.ops", "core", "scheduler", "execution"),
    "inputs": (
        *("device", *_BASE, "_arrays", "core.ops", "core", "scheduler", "tensor"),
        "typed_inputs",
        "child_places",
    ),
    "call": ("device", "core.ops", "core", "scheduler", "execution"),
    "replay": ("device", "core.ops", "core", "scheduler", "execution", "tensor", "call"),
    "values": ("_arrays", "core.ops", "core", "execution"),
    "nonfinite": (
        "device",
        *_BASE,
        "core.ops",
        "core",
        "execution",
        "tensor",
        "call",
        "replay",
        "values",
    ),
    "recording": (
        *("device", "errors", "core.ops", "core", "execution", "tensor", "call", "nonfinite"),
    ),
    "step": (*_BASE, "_native", "core", "scheduler", "execution", "tensor", "optim"),
    "options": (*_BASE, "device", "core", "scheduler"),
    "compiled": ("device", "_arrays", "core", "tensor"),
    "summary": ("core", "scheduler", "execution"),
    "inspection": (
        *(*_BASE, "core", "scheduler", "execution", "tensor", "inputs", "compiled"),
        *("call", "replay", "values", "summary"),
    ),
    "derivatives": (*_BASE, "device", "core", "tensor"),
    "linalg": (*_BASE, "_missing", "_native", "_arrays", "core.ops", "core", "tensor"),
    "grown_graphs": (*_BASE, "_arrays", "scheduler"),
    "model": (
        "device",
        *(*_BASE, "_missing", "core", "scheduler", "execution", "tensor", "optim"),
        *("inputs", "call", "recording", "step", "options", "compiled"),
        *("inspection", "grown_graphs"),
    ),
    "grown_rows": (*_BASE, "_arrays", "core.ops", "core"),
    "growing": (
        *("device", *_BASE, "_arrays", "_native", "core", "execution", "tensor", "model"),
        *("grown_graphs", "grown_rows"),
    ),
    "unfold": ("device", *_BASE, "_arrays", "model", "grown_graphs", "grown_rows", "growing"),
    "policy": (*_BASE, "_native", "core", "scheduler", "model"),
    "program": (
        "device",
        *(*_BASE, "_missing", "_seed", "core", "scheduler", "execution", "tensor", "options"),
        *("compiled", "summary", "model"),
    ),
    "pictures": (
        *(*_BASE, "_files", "_arrays", "core.ops", "core", "scheduler", "model", "program"),
    ),
    "readout": (*_BASE, "device", "scheduler", "tensor"),
    "sample_state": (*_BASE, "_arrays", "device", "core.ops", "scheduler", "tensor"),
    "torch": (
        "device",
        *(*_BASE, "_native", "_signatures", "_arrays", "core", "scheduler", "execution", "tensor"),
        *("call", "recording", "model"),
    ),
    "randomness": ("_locks", "_seed", "tensor", "nn"),
    "data": (*_BASE, "_files", "_seed", "_signatures", "_arrays", "scheduler"),
    # Written as users write: `import cavs`
    "models": (*_BASE, "_signatures", "nn"),
    "training": (
        "device",
        *_BASE,
        "_files",
        "_seed",
        "_signatures",
        "_arrays",
        "core.ops",
        "core",
        "tensor",
        "nn",
        "optim",
        "data",
        "models",
    ),
    "saved_objects": (*_BASE, "core", "tensor"),
    "rebuilt_objects": ("_arguments", "core", "tensor", "data", "saved_objects"),
    "saving": (
        "device",
        *(*_BASE, "_files", "_signatures", "scheduler", "model", "program"),
        *("saved_objects", "rebuilt_objects", "training"),
    ),
    "bench": ("errors", "_files", "core.ops", "core", "scheduler", "execution", "data", "models"),
    "cli": (
        "device",
        *(
            "_printable",
            "errors",
            "_files",
            "_startup",
            "core.ops",
            "execution",
            "data",
            "models",
        ),
        *("scheduler", "pictures", "training", "bench"),
    ),
}
# The extension is imported in one place.
CORE_IMPORTERS = {"_native"}
ROOT_IMPORTERS = {"models", "training", "bench", "cli"}

# Exactly what the files of each folder include: the device's rooms know the runtime, it knows none.
CPP_LAYERS: dict[str, tuple[str, ...]] = {
    "base": (),
    "graph": ("base",),
    "memory": ("base",),
    "group": (),
    "program": ("base", "group"),
    "runtime": ("base", "graph", "memory", "program"),
    # The devices, each a room beside the others.
    "cpu": ("base", "graph", "memory", "group", "program", "runtime"),
    "cuda": ("base", "graph", "group", "memory", "program", "runtime"),
    "bindings": ("base", "cpu", "cuda", "graph", "memory", "group", "program", "runtime"),
}


# --- Python ---------------------------------------------------------------------------------------


def module_names() -> dict[str, Path]:
    """Dotted name below `cavs` -> file; the package itself is the empty name."""
    names = {}
    for path in sorted((ROOT / "cavs").rglob("*.py")):
        parts = list(path.relative_to(ROOT / "cavs").with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        names[".".join(parts)] = path
    return names


MODULES = module_names()


def layer_of(module: str) -> str | None:
    """The layer with the longest name that `module` is, or lies in."""
    fitting = [name for name in PYTHON_LAYERS if module == name or module.startswith(name + ".")]
    return max(fitting, key=len, default=None)


def imported_modules(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name below cavs) of each import of cavs, those inside functions included."""
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "cavs" or alias.name.startswith("cavs."):
                    yield node.lineno, alias.name.removeprefix("cavs").removeprefix(".")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            argument = node.args[0] if node.args else None
            name = argument.value if isinstance(argument, ast.Constant) else None
            if isinstance(name, str) and name.split(".")[0] == "cavs":
                yield node.lineno, name.removeprefix("cavs").removeprefix(".")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = [part for part in package[: len(package) + 1 - node.level] if part]
            elif node.module is not None and node.module.split(".")[0] == "cavs":
                base = []
            else:
                continue
            if node.module is not None:
                base += [part for part in node.module.split(".") if part != "cavs" or node.level]
            for alias in node.names:
                full = ".".join([*base, alias.name])
                # `from cavs.core import ir` names a module, `... .ir import Node` does not.
                is_module = full in MODULES or full == "_core"
                yield node.lineno, full if is_module else ".".join(base)


def violation(module: str, target: str) -> str | None:
    """Why `module` must not import `target`, or None."""
    layer = layer_of(module)
    if target == "_core" or target.startswith("_core."):
        return (
            None if module in CORE_IMPORTERS else f"only {sorted(CORE_IMPORTERS)} import cavs._core"
        )
    if module == "":
        return None
    assert layer is not None
    if target == "":
        return None if layer in ROOT_IMPORTERS else "inner modules import submodules, not `cavs`"
    target_layer = layer_of(target)
    if target_layer is None:
        return f"cavs.{target} stands in no layer"
    if target_layer not in (layer, *PYTHON_LAYERS[layer]):
        return f"layer {layer} may not import layer {target_layer}"
    return None


def python_edges() -> set[tuple[str | None, str | None]]:
    """(layer, layer that it imports) of all files; of the root the empty name."""
    return {
        (layer_of(module), layer_of(target) if target not in ("", "_core") else target)
        for module, path in MODULES.items()
        for _, target in imported_modules(module, ast.parse(path.read_text(encoding="utf-8")))
    }


def unused(layers: dict[str, tuple[str, ...]], edges: set[tuple[Any, Any]]) -> list[str]:
    """Permissions that nobody uses."""
    return [f"{a} -> {b}" for a, names in layers.items() for b in names if (a, b) not in edges]


@pytest.mark.parametrize("module", [pytest.param(name, id=name or "cavs") for name in MODULES])
def test_python_imports_point_one_way(module: str) -> None:
    if module in ("", "__main__"):
        return
    assert layer_of(module) is not None, (
        f"cavs.{module} stands in no layer: add it to PYTHON_LAYERS"
    )
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    broken = [
        f"{MODULES[module].relative_to(ROOT)}:{line}: {reason}"
        for line, target in imported_modules(module, tree)
        if (reason := violation(module, target)) is not None
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("layers", [PYTHON_LAYERS, CPP_LAYERS], ids=["python", "cpp"])
def test_layers_name_those_above_them(layers: dict[str, tuple[str, ...]]) -> None:
    order = list(layers)
    below = [
        f"{layer} names {name}"
        for layer, names in layers.items()
        for name in names
        if order.index(name) >= order.index(layer)
    ]
    assert not below, below


def test_each_python_permission_is_used() -> None:
    edges = python_edges()
    assert not unused(PYTHON_LAYERS, edges)
    assert {layer for layer, target in edges if target == "_core"} == CORE_IMPORTERS
    assert {layer for layer, target in edges if target == "" and layer} == ROOT_IMPORTERS


def test_a_permission_that_nobody_uses_is_noticed() -> None:
    assert unused({"a": (), "b": ("a",), "c": ("a", "b")}, {("b", "a"), ("c", "b")}) == ["c -> a"]


def test_vertex_functions_and_graphs_meet_in_the_executor_only() -> None:
    for layer in ("core.ops", "core", "kernels"):
        assert not {"scheduler", "memory"} & set(PYTHON_LAYERS[layer])
    for layer in ("scheduler", "memory"):
        assert not {"core", "core.ops", "kernels"} & set(PYTHON_LAYERS[layer])


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("core.ir", "scheduler.policy"),
        ("scheduler.policy", "core.ir"),
        ("core.ops.table", "core.ir"),
        ("tensor", "nn"),
        ("execution.native", "_core"),
        ("core.ir", "_native"),
        ("core.ir", ""),
    ],
)
def test_forbidden_imports_are_noticed(module: str, target: str) -> None:
    assert violation(module, target) is not None


# --- C++ ------------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CPP_FILES = [
    path
    for path in sorted((ROOT / "csrc").rglob("*"))
    if path.suffix in {".h", ".cpp", ".inc", ".cu", ".cuh"}
]


def include_violation(path: Path, bracket: str, header: str) -> str | None:
    """Why the file `path` (relative to csrc) must not include `header`, or None."""
    layer = path.parts[0]
    first = header.split("/")[0]
    if first == "pybind11" or header == "Python.h":
        return None if layer == "bindings" else "pybind11 and Python belong to bindings/"
    if re.match(r"cuda(?!/)|cublas|curand|nvrtc|cub/", header):
        return None if "cuda" in path.parts else "CUDA headers belong to a folder cuda/"
    if bracket == "<" or "/" not in header:
        return None
    if first not in CPP_LAYERS:
        return f"{header} stands in no layer"
    if first in (layer, *CPP_LAYERS[layer]):
        return None
    return f"layer {layer} may not include {header}"


@pytest.mark.parametrize("path", [pytest.param(p, id=p.name) for p in CPP_FILES])
def test_cpp_includes_point_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT / "csrc")
    assert relative.parts[0] in CPP_LAYERS, f"{relative} stands in no layer: add it to CPP_LAYERS"
    broken = [
        f"csrc/{relative}: {reason}"
        for bracket, header in INCLUDE.findall(path.read_text(encoding="utf-8"))
        if (reason := include_violation(relative, bracket, header)) is not None
    ]
    assert not broken, "\n".join(broken)


def test_each_cpp_permission_is_used() -> None:
    edges = {
        (path.relative_to(ROOT / "csrc").parts[0], header.split("/")[0])
        for path in CPP_FILES
        for _, header in INCLUDE.findall(path.read_text(encoding="utf-8"))
    }
    assert not unused(CPP_LAYERS, edges)


@pytest.mark.parametrize("path", [pytest.param(p, id=p.name) for p in CPP_FILES])
def test_cpp_files_begin_with_what_they_are_for(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("// "), path


@pytest.mark.parametrize(
    ("path", "bracket", "header"),
    [
        ("graph/schedule.cpp", '"', "memory/arena.h"),
        ("graph/schedule.cpp", '"', "cpu/kernel.h"),
        ("program/program.cpp", '"', "runtime/run.h"),
        ("program/program.cpp", '"', "runtime/backend.h"),
        ("runtime/run.cpp", '"', "cpu/bind.h"),
        ("runtime/run.cpp", '"', "cuda/driver/driver.h"),
        ("cuda/sweep/walk.cpp", '"', "cpu/bind.h"),
        ("cpu/kernels/gemm.cpp", '"', "bindings/read.h"),
        ("runtime/run.cpp", "<", "pybind11/pybind11.h"),
        ("runtime/run.cpp", "<", "cuda_runtime.h"),
    ],
)
def test_forbidden_includes_are_noticed(path: str, bracket: str, header: str) -> None:
    assert include_violation(Path(path), bracket, header) is not None


# --- Text -----------------------------------------------------------------------------------------

LEFT_TO_DO = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


@pytest.mark.parametrize("folder", ["cavs", "csrc", "tests", "examples", "benchmarks", "tools"])
def test_nothing_is_left_to_do_in_comments(folder: str) -> None:
    suffixes = {".py", ".pyi", ".h", ".cpp", ".cu", ".cuh", ".inc", ".sh", ".txt", ".cmake"}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix in suffixes
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LEFT_TO_DO.search(line)
    ]
    assert not found, "\n".join(found)
