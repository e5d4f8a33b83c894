"""tools/compile_kernels.py, with the emulated compiler in the place of NVRTC."""

import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "compile_kernels.py"
GOOD = 'extern "C" __global__ void f(CAVS_REAL* x) { x[0] = 1; }\n'


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = util.spec_from_file_location("compile_kernels", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["compile_kernels"] = module  # for its class of tuples
    spec.loader.exec_module(module)
    return module


def test_fixed_units_come_for_each_dtype(tool: ModuleType) -> None:
    found = list(tool.fixed_sources())
    names = {source.name for source in found}
    assert {"products.cu", "random.cu"} <= names
    assert len(found) == 3 * len(names)
    for real in ("float", "double"):
        assert {s.name for s in found if f"-DCAVS_REAL={real}" in s.options} == names


@pytest.mark.gpu
def test_what_compiles_and_what_does_not(tool: ModuleType) -> None:
    good = tool.Source("good.cu", GOOD, ("-DCAVS_REAL=double",))
    bad = tool.Source("bad.cu", GOOD.replace("x[0]", "y[0]"), ("-DCAVS_REAL=float",))
    assert tool.compile_all([good], ["sm_80", "sm_90"]) == []
    failures = tool.compile_all([good, bad], ["sm_80", "sm_90"])
    assert len(failures) == 2
    for line, architecture in zip(failures, ("sm_80", "sm_90"), strict=True):
        assert line.startswith(f"bad.cu -DCAVS_REAL=float for {architecture}: [cuda] expected")
        kept = line.rsplit("see the source in ", 1)[1]
        assert "y[0]" in Path(kept).read_text()


@pytest.mark.gpu
def test_sources_that_the_emulated_driver_keeps(tool: ModuleType, tmp_path: Path) -> None:
    if "CAVS_CUDA_DRIVER" not in os.environ:
        pytest.skip("a GPU's own driver keeps no sources")
    script = (
        "from cavs._native import core\n"
        f"core.cuda.compile('one.cu', {GOOD!r}, ['-DCAVS_REAL=float', '--ftz=true'], 'sm_90')\n"
    )
    environment = {**os.environ, "CAVS_EMULATOR_SOURCES": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    options = ("-DCAVS_REAL=float", "--ftz=true")
    assert list(tool.kept_sources(tmp_path)) == [tool.Source("one.cu", GOOD, options)]


def test_no_compiler_is_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "CAVS_CUDA_DRIVER": str(tmp_path / "absent.so")}
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("[compile_kernels] none: [cuda] expected an emulated driver")
    assert done.stderr.count("\n") == 1
