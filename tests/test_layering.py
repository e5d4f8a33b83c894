"""Imports point one way, in Python and in C++; the tables below are the architecture.

A file that belongs to no layer fails too: whoever adds a module says where it stands.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A layer may import itself, what it names here, and what those may import in turn.
PYTHON_LAYERS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "_locks": (),
    "_startup": (),
    "_arguments": ("errors",),
    "_typing": ("errors", "_locks", "_arguments"),
    "_native": ("_typing",),
    "_arrays": ("_native",),
    # F: what is computed
    "core.ops": ("_typing",),
    "core": ("core.ops",),
    # G: over which vertices
    "scheduler": ("_typing",),
    "memory": ("scheduler",),
    "kernels": ("core",),
    # F and G meet
    "execution": ("kernels", "memory", "_arrays"),
    "nonfinite": ("tensor",),
    "tensor": ("execution",),
    "inputs": ("tensor",),
    "step": ("optim",),
    "compiled": ("tensor",),
    "model": ("compiled", "inputs", "nonfinite", "step"),
    "unfold": ("model",),
    "program": ("model",),
    "readout": ("tensor",),
    "nn": ("tensor",),
    "optim": ("tensor",),
    "data": ("tensor",),
    "models": ("nn", "optim", "data"),
    "training": ("models",),
    "bench": ("models",),
    "cli": ("training", "bench", "_startup"),
}
# The extension is imported in one place, and that place by the layers that have a native half.
CORE_IMPORTERS = {"_native"}
NATIVE_IMPORTERS = {"_arrays", "execution", "kernels", "memory", "optim", "scheduler", "step"}
# Models, training, benchmarks and the command line are written as users write: `import cavs`.
ROOT_IMPORTERS = {"models", "training", "bench", "cli"}

CPP_LAYERS: dict[str, tuple[str, ...]] = {
    "base": (),
    "graph": ("base",),
    "memory": ("base",),
    "program": ("graph", "memory"),
    "cpu": ("program",),
    "runtime": ("cpu",),
    "bindings": ("runtime",),
}
# A program is a list of calls of kernels: it knows how a call looks, and no kernel.
CPP_EXCEPTIONS = {("program", "cpu/kernel.h")}


def closure(layers: dict[str, tuple[str, ...]], layer: str) -> set[str]:
    found: set[str] = set()
    pending = [layer]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(layers[name])
    return found


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
    if target == "_native":
        allowed = layer in NATIVE_IMPORTERS
        return None if allowed else f"only {sorted(NATIVE_IMPORTERS)} import cavs._native"
    target_layer = layer_of(target)
    if target_layer is None:
        return f"cavs.{target} stands in no layer"
    if target_layer not in closure(PYTHON_LAYERS, layer):
        return f"layer {layer} may not import layer {target_layer}"
    return None


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


def test_vertex_functions_and_graphs_meet_in_the_executor_only() -> None:
    assert "scheduler" not in closure(PYTHON_LAYERS, "kernels")
    assert not {"core", "core.ops"} & closure(PYTHON_LAYERS, "memory")


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
    if re.match(r"cuda|cublas|curand|nvrtc|cub/", header):
        return None if "cuda" in path.parts else "CUDA headers belong to a folder cuda/"
    if bracket == "<" or "/" not in header:
        return None
    if first not in CPP_LAYERS:
        return f"{header} stands in no layer"
    if first in closure(CPP_LAYERS, layer) or (layer, header) in CPP_EXCEPTIONS:
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


@pytest.mark.parametrize(
    ("path", "bracket", "header"),
    [
        ("graph/schedule.cpp", '"', "memory/arena.h"),
        ("graph/schedule.cpp", '"', "cpu/kernel.h"),
        ("program/program.cpp", '"', "cpu/registry.h"),
        ("cpu/kernels/gemm.cpp", '"', "runtime/run.h"),
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
