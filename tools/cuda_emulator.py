"""Builds the emulated CUDA driver with a C++ compiler alone, and prints the library's path.

    CAVS_CUDA_DRIVER=$(python tools/cuda_emulator.py) python train.py   # with device="cuda"

The library is kept under a hash of its sources, flags and compiler in CAVS_EMULATOR_CACHE, or in
the user's cache folder: a second run is instant. The compiler is CAVS_EMULATOR_CXX, or g++; the
emulator itself needs it too, for the kernels.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "tests" / "csrc" / "cuda_emulator"
# What the emulator includes of the project itself.
HEADERS = ("cuda/driver/driver.h", "base/error.h")
NAME = "libcavs_cuda_emulated.so"
# As in tests/csrc/CMakeLists.txt: products and sums are not merged, and the checks of the C
# library, which know nothing of fibers, stay out.
FLAGS = (
    *("-std=c++17", "-O2", "-g1", "-DNDEBUG", "-fPIC", "-fvisibility=hidden"),
    *("-fvisibility-inlines-hidden", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-pthread"),
)


class BuildError(Exception):
    """The emulator cannot be built; the message says why in one line."""


def compiler() -> str:
    """The path of the C++ compiler."""
    name = os.environ.get("CAVS_EMULATOR_CXX", "g++")
    path = shutil.which(name)
    if path is None:
        raise BuildError(
            f"[cuda_emulator] expected a C++ compiler, got no '{name}'; "
            "install g++, or name another compiler in CAVS_EMULATOR_CXX"
        )
    return path


def cache_folder() -> Path:
    """CAVS_EMULATOR_CACHE, or a folder in the user's cache folder."""
    if folder := os.environ.get("CAVS_EMULATOR_CACHE"):
        return Path(folder).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cavs" / "emulator"


def build(sanitize: str = "") -> Path:
    """Path of the library, which is built where it is not there yet.

    Args:
        sanitize: sanitizers that it is built with, such as "address"; a process that opens it must
            have been built with the same.

    Raises:
        BuildError: there is no compiler, it fails, or the folder cannot be written.
    """
    cxx = compiler()
    flags = (*FLAGS, f"-fsanitize={sanitize}") if sanitize else FLAGS
    place = cache_folder() / f"driver-{_hash(cxx, flags)}"
    library = place / NAME
    if library.exists():
        return library
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place / "lock"):
            if not library.exists():
                _build(cxx, flags, library)
    except OSError as error:
        raise BuildError(
            f"[cuda_emulator] expected a folder that can be written, got '{place}' ({error}); "
            "set CAVS_EMULATOR_CACHE to another one"
        ) from error
    return library


def _sources() -> list[Path]:
    found = sorted(SOURCES.glob("*.cpp"))
    if not found:
        raise BuildError(
            f"[cuda_emulator] expected the emulator's sources in {SOURCES}, got none; "
            "run this from a checkout or from the source distribution"
        )
    return found


def _hash(cxx: str, flags: tuple[str, ...]) -> str:
    # The compiler by its file, since asking for its version takes longer than all else.
    state = Path(cxx).resolve().stat()
    known = f"{cxx} {state.st_size} {state.st_mtime_ns} {platform.machine()} {flags}"
    total = hashlib.sha256(known.encode())
    headers = [*sorted(SOURCES.glob("*.h")), *(ROOT / "csrc" / name for name in HEADERS)]
    for file in [*_sources(), *headers]:
        text = file.read_bytes()
        total.update(f"\0{file.name} {len(text)}\0".encode() + text)
    return total.hexdigest()[:24]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the system ends the lock of one that is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(cxx: str, flags: tuple[str, ...], library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder)
        text = (SOURCES / "device_functions.h").read_text()
        (made / "emulator_texts.inc").write_text(
            f'{{"device_functions.h", R"cavs_text({text})cavs_text"}},\n'
        )
        common = [cxx, *flags, f"-I{ROOT / 'csrc'}", f"-I{made}"]

        def compile_one(source: Path) -> Path:
            target = made / f"{source.stem}.o"
            _run([*common, "-c", str(source), "-o", str(target)], source.name)
            return target

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = [str(target) for target in pool.map(compile_one, _sources())]
        _run([cxx, *flags, "-shared", *objects, "-ldl", "-o", str(made / NAME)], NAME)
        (made / NAME).replace(library)


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        said = lines[0] if lines else done.stderr.strip()[:300] or f"status {done.returncode}"
        raise BuildError(f"[cuda_emulator] expected {what} to compile, got: {said}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sanitize", default="", metavar="LIST", help='such as "address"')
    options = parser.parse_args()
    try:
        print(build(options.sanitize))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
