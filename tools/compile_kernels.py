"""Compiles all CUDA kernels of the engine with NVIDIA's NVRTC, for GPUs that need not be there.

    python tools/compile_kernels.py --architectures sm_75,sm_80,sm_90,sm_100,sm_120

NVRTC comes with the package nvidia-cuda-nvrtc (`pip install 'cavs-nn[nvrtc]'`) or CUDA's toolkit;
CAVS_CUDA_LIBRARY_PATH names other folders of its library. Kernels that programs print for
themselves are kept by the emulated driver, and compiled from there:

    CAVS_EMULATOR_SOURCES=FOLDER CAVS_CUDA_CACHE= pytest -m gpu tests/cuda/test_commands.py
    python tools/compile_kernels.py --sources FOLDER
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from cavs._native import core
from cavs.device.gpus import library_folders
from cavs.errors import DeviceError

# sm_70 with NVRTC 12 alone.
ARCHITECTURES = "sm_75,sm_80,sm_90,sm_100,sm_120"
# Given for all kernels alike, by the engine.
OF_ALL = ("--gpu-architecture=", "--std=", "--fmad=")


class Source(NamedTuple):
    """A unit of kernels as NVRTC gets it."""

    name: str
    text: str
    options: tuple[str, ...]


def fixed_sources() -> Iterator[Source]:
    """The units that all programs share, for each dtype, and with flushed denormals."""
    variants = (
        ("-DCAVS_REAL=float",),
        ("-DCAVS_REAL=float", "--ftz=true"),
        ("-DCAVS_REAL=double",),
    )
    for name, text in core.cuda.kernel_texts().items():
        if name.startswith("cuda/kernels/") and name.endswith(".cu"):
            for options in variants:
                yield Source(name.removeprefix("cuda/kernels/"), text, options)


def kept_sources(folder: Path) -> Iterator[Source]:
    """Those that the emulated driver has put into a folder."""
    for file in sorted(folder.glob("*.cu")):
        name, options, text = file.read_text().split("\n", 2)
        words = options.removeprefix("// options:").split()
        own = tuple(word for word in words if not word.startswith(OF_ALL))
        yield Source(name.removeprefix("// name: "), text, own)


def compile_all(sources: list[Source], architectures: list[str]) -> list[str]:
    """What failed, a line each."""
    work = [(source, architecture) for source in sources for architecture in architectures]

    def attempt(item: tuple[Source, str]) -> str:
        source, architecture = item
        try:
            core.cuda.compile(source.name, source.text, list(source.options), architecture)
        except DeviceError as error:
            return f"{source.name} {' '.join(source.options)} for {architecture}: {error}"
        return ""

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [line for line in pool.map(attempt, work) if line]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architectures", default=ARCHITECTURES, metavar="LIST")
    parser.add_argument("--sources", type=Path, metavar="FOLDER", help="also those kept there")
    options = parser.parse_args()
    if not core.cuda.built:
        print("[compile_kernels] expected a build with CUDA, got one without", file=sys.stderr)
        return 1
    if not core.cuda.emulated():
        core.cuda.set_library_folders(":".join(library_folders()))
    version = core.cuda.versions()["NVRTC"]
    if version.startswith("none"):
        print(f"[compile_kernels] {version}", file=sys.stderr)
        return 1
    sources = list(fixed_sources())
    if options.sources is not None:
        kept = list(kept_sources(options.sources))
        if not kept:
            print(
                f"[compile_kernels] expected sources in {options.sources}, got none; set "
                "CAVS_EMULATOR_SOURCES for a run on the emulated driver",
                file=sys.stderr,
            )
            return 1
        sources = list(dict.fromkeys([*sources, *kept]))
    architectures = options.architectures.split(",")
    start = time.perf_counter()
    failures = compile_all(sources, architectures)
    for line in failures:
        print(line, file=sys.stderr)
    total = len(sources) * len(architectures)
    print(
        f"NVRTC {version}: {total - len(failures)} of {total} compiled ({len(sources)} units for "
        f"{', '.join(architectures)}) in {time.perf_counter() - start:.0f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
