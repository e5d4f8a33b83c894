"""The driver that tests with the marker `gpu` run on, and what the emulated one counts."""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cuda_counts import counting, counts, is_emulated, limited_memory

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def driver() -> Iterator[ctypes.CDLL]:
    """The emulated driver, whose first device is current."""
    if not is_emulated():
        pytest.skip("a GPU's own driver counts nothing")
    library = ctypes.CDLL(os.environ["CAVS_CUDA_DRIVER"])
    context, before = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.cuInit(0) == 0
    assert library.cuCtxGetCurrent(ctypes.byref(before)) == 0
    assert library.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert library.cuCtxSetCurrent(context) == 0
    yield library
    assert library.cuCtxSetCurrent(before) == 0


@pytest.mark.gpu
def test_allocations_and_copies_are_counted(driver: ctypes.CDLL) -> None:
    address, null = ctypes.c_uint64(), ctypes.c_void_p()
    with counting() as count:
        assert driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(1000)) == 0
        values = (ctypes.c_char * 1000)()
        assert driver.cuMemcpyHtoDAsync_v2(address, values, ctypes.c_size_t(1000), null) == 0
    assert count is not None
    assert count["allocations"] == count["live_allocations"] == count["copies_to_device"] == 1
    assert count["bytes_to_device"] == 1000
    assert count["launches"] == 0
    with counting() as count:
        assert driver.cuMemFree_v2(address) == 0
    assert count is not None
    assert count["live_allocations"] == -1


@pytest.mark.gpu
def test_garbage_of_earlier_tests_is_not_counted(driver: ctypes.CDLL) -> None:

    class Held:
        def __init__(self) -> None:
            self.itself = self  # a circle: only the collector frees it
            self.address = ctypes.c_uint64()
            assert driver.cuMemAlloc_v2(ctypes.byref(self.address), ctypes.c_size_t(1000)) == 0

        def __del__(self) -> None:
            assert driver.cuMemFree_v2(self.address) == 0

    threshold = gc.get_threshold()
    gc.set_threshold(10**6)
    try:
        Held()
        with counting() as count:
            gc.set_threshold(1)  # the next few objects made start a collection
            made: list[list[int]] = [[] for _ in range(100)]
    finally:
        gc.set_threshold(*threshold)
    assert len(made) == 100
    assert count is not None
    assert count["live_allocations"] == 0


@pytest.mark.gpu
def test_what_streams_have_yet_to_free_is_not_counted(driver: ctypes.CDLL) -> None:
    address, stream = ctypes.c_uint64(), ctypes.c_void_p()
    assert driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(1000)) == 0
    assert driver.cuStreamCreate(ctypes.byref(stream), 0) == 0
    assert driver.cuMemFreeAsync(address, stream) == 0
    with counting() as count:
        assert driver.cuStreamSynchronize(stream) == 0
    assert driver.cuStreamDestroy_v2(stream) == 0
    assert count is not None
    assert count["live_allocations"] == 0


@pytest.mark.gpu
def test_memory_can_be_limited() -> None:
    if not is_emulated():
        pytest.skip("a GPU has the memory that it has")
    driver = ctypes.CDLL(os.environ["CAVS_CUDA_DRIVER"])
    total, count = ctypes.c_size_t(), ctypes.c_int()
    assert driver.cuInit(0) == 0
    assert driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    assert count.value == int(os.environ.get("CAVS_EMULATOR_DEVICES", 1))
    assert driver.cuDeviceTotalMem_v2(ctypes.byref(total), 0) == 0
    before = total.value
    with limited_memory(12345):
        assert driver.cuDeviceTotalMem_v2(ctypes.byref(total), 0) == 0
        assert total.value == 12345
    assert driver.cuDeviceTotalMem_v2(ctypes.byref(total), 0) == 0
    assert total.value == before


@pytest.mark.gpu
def test_a_driver_is_named_or_a_gpu_is_there() -> None:
    assert is_emulated() == (counts() is not None)
    if is_emulated():
        assert Path(os.environ["CAVS_CUDA_DRIVER"]).exists()
        assert "CAVS_CUDA_CACHE" in os.environ


def _run_marked(tmp_path: Path, **changes: str) -> str:
    """What pytest says of a suite of one marked test beside the project's conftest.py."""
    test = tmp_path / "test_marked.py"
    test.write_text("import pytest\n@pytest.mark.gpu\ndef test_marked(): pass\n")
    environment = {**os.environ, **changes}
    environment.pop("CAVS_CUDA_DRIVER", None)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    command += ["-p", "no:cacheprovider", "-p", "conftest", "-rs", str(test)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT / "tests",
        env={**environment, "PYTHONPATH": str(ROOT / "tests")},
    )
    return done.stdout


def test_marked_tests_are_skipped_without_a_compiler(tmp_path: Path) -> None:
    from cuda_driver import has_gpu

    if has_gpu():
        pytest.skip("they run on the GPU here")
    printed = _run_marked(tmp_path, PATH="/nowhere", CAVS_EMULATOR_CACHE=str(tmp_path / "cache"))
    assert "1 skipped" in printed
    assert "no GPU, and no emulated CUDA driver: [cuda_emulator] expected a C++ compiler" in printed


@pytest.mark.gpu
def test_the_engine_counts_what_the_driver_is_asked_for() -> None:
    """Its launches, graphs, products and copies, in steps that are launched and captured."""
    import cavs
    from cavs._native import core
    from cavs.models import ChildSumTreeLSTM

    if not is_emulated():
        pytest.skip("a GPU's own driver counts nothing")
    model = cavs.compile(ChildSumTreeLSTM(9, 3, 4, 3), device="cuda")
    optimizer = cavs.optim.Adagrad(model.parameters(), lr=0.1)
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])] * 3)
    for step in range(4):
        before = core.cuda.counts()
        with counting() as count:
            model.step(graphs, optimizer, word=[1, 2, -1] * 3, label=[0, 1, 2] * 3)
            cavs.cuda.synchronize()
        assert count is not None
        grown = {name: value - before[name] for name, value in core.cuda.counts().items()}
        assert grown["launches"] == count["launches"] + count["cooperative_launches"]
        for name in ("graph_launches", "products", "copies_to_device", "bytes_to_device"):
            assert grown[name] == count[name], (step, name)
        assert grown["launches"] + grown["graph_launches"] > 1
