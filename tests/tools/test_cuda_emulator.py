"""tools/cuda_emulator.py, on small sources in the place of the emulator's."""

import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "cuda_emulator.py"
GOOD = (
    '#include "cuda/driver/driver.h"\n#include <string>\n'
    'static std::pair<const char*, std::string> texts[] = {\n#include "emulator_texts.inc"\n};\n'
    'extern "C" __attribute__((visibility("default"))) int length() {'
    " return (int)texts[0].second.size(); }\n"
)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = util.spec_from_file_location("cuda_emulator", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.shutil.which("g++"):
        pytest.skip("no g++")
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.cpp").write_text(GOOD)
    (sources / "two.cpp").write_text("int unused() { return 1; }\n")
    (sources / "device_functions.h").write_text('// "text"\n')
    monkeypatch.setattr(module, "SOURCES", sources)
    monkeypatch.setenv("CAVS_EMULATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CAVS_EMULATOR_CXX", raising=False)
    return module


def test_a_second_build_compiles_nothing(tool: ModuleType) -> None:
    first = tool.build()
    stamp = first.stat().st_mtime_ns
    assert tool.build() == first
    assert first.stat().st_mtime_ns == stamp
    assert {path.name for path in first.parent.iterdir()} == {"lock", first.name}
    ask = f"import ctypes; print(ctypes.CDLL({str(first)!r}).length())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len('// "text"\n')


def test_changed_sources_are_another_library(tool: ModuleType) -> None:
    first = tool.build()
    (tool.SOURCES / "device_functions.h").write_text("// other\n")
    second = tool.build()
    assert second != first
    assert first.exists()


def test_several_processes_at_once(tool: ModuleType, tmp_path: Path) -> None:
    """Each gets a whole library, which one of them has made."""
    log = tmp_path / "log"
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho run >>"{log}"\nexec g++ "$@"\n')
    compiler.chmod(0o755)
    script = (
        f"import sys; sys.path.insert(0, {str(TOOL.parent)!r}); import cuda_emulator, pathlib\n"
        f"cuda_emulator.SOURCES = pathlib.Path({str(tool.SOURCES)!r})\n"
        "print(cuda_emulator.build())\n"
    )
    environment = {**os.environ, "CAVS_EMULATOR_CXX": str(compiler)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(4)
    ]
    printed = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    (path,) = printed
    assert Path(path).exists()
    assert len(log.read_text().split()) == 3  # two objects and the library


def test_no_compiler(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(tool.BuildError, match=r"expected a C\+\+ compiler.*install g\+\+"):
        tool.build()


def test_a_source_that_does_not_compile(tool: ModuleType) -> None:
    (tool.SOURCES / "two.cpp").write_text("int unused() { return missing; }\n")
    with pytest.raises(tool.BuildError, match=r"expected two\.cpp to compile.*missing"):
        tool.build()
    (tool.SOURCES / "two.cpp").write_text("int unused() { return 1; }\n")
    assert tool.build().exists()


def test_a_folder_that_cannot_be_written(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAVS_EMULATOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(tool.BuildError, match=r"folder that can be written.*CAVS_EMULATOR_CACHE"):
        tool.build()


def test_no_sources(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "SOURCES", tmp_path / "absent")
    with pytest.raises(tool.BuildError, match="expected the emulator's sources"):
        tool.build()


def test_errors_are_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "/nowhere", "CAVS_EMULATOR_CACHE": str(tmp_path)}
    environment.pop("CAVS_EMULATOR_CXX", None)
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
