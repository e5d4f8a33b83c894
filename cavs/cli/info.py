"""``cavs info``: the versions, the processor, the GPUs and the settings of this installation."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import cavs
from cavs.device import gpus
from cavs.execution.settings import compiles_groups


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "info",
        help="versions, instruction set, threads and GPUs",
        description="Prints versions, the instruction set of the kernels, the threads of calls, "
        "and the GPUs, or why there is none.",
        epilog="Environment variables: CAVS_ISA=generic|avx2|avx512 chooses a lesser instruction "
        "set than the machine's best; CAVS_NUM_THREADS=N sets the threads of calls.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a line for each fact."""
    facts = {
        "cavs": cavs.__version__,
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "machine": f"{platform.system()} {platform.machine()}",
        "instruction set": cavs.instruction_set(),
        "groups": "compiled" if compiles_groups() else "interpreted",
        "threads": cavs.get_num_threads(),
    }
    for name, fact in [*facts.items(), *_gpus()]:
        print(f"{name:<16} {fact}")
    return 0


def _gpus() -> Iterator[tuple[str, object]]:
    """The GPUs and their libraries, or why there is none."""
    reason = cavs.cuda.why_not()
    if reason:
        yield "GPUs", f"none: {reason}"
        return
    yield from gpus.versions().items()
    if not gpus.is_emulated():
        yield "CuPy", metadata.version(_distribution_of("cupy"))
    for ordinal in range(cavs.cuda.device_count()):
        found = gpus.info(ordinal)
        yield (
            f"cuda:{ordinal}",
            f"{found['name']}, {found['architecture']}, {found['processors']} processors, "
            f"{found['free_bytes'] / 2**30:.1f} of {found['total_bytes'] / 2**30:.1f} GiB free",
        )


def _distribution_of(module: str) -> str:
    """The name of the package that a module was installed by."""
    return next(iter(metadata.packages_distributions().get(module, [module])))
