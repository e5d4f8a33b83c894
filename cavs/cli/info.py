"""``cavs info``: the versions, the processor and the settings of this installation."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import Any

import cavs
from cavs.execution.settings import compiles_groups


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "info",
        help="versions, instruction set and threads",
        description="Prints versions, the instruction set of the kernels and the threads of calls.",
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
    for name, fact in facts.items():
        print(f"{name:<16} {fact}")
    return 0
