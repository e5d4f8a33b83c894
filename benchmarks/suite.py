"""``cavs bench`` with peers beside cavs, on the same weights and batches; see README.md.

Peers are the modules in peers/ that have a function `make`; peers/protocol.py describes them. A
peer that cannot run here is skipped with a line.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from peers.protocol import Array, Peer, PeerBatch, UnsuitableError

import cavs
from cavs.bench.recipes import NO_MASKS, Recipe
from cavs.bench.runner import usable_cores
from cavs.bench.worker import work
from cavs.cli.bench import add_options, measure_all
from cavs.errors import CavsError

PEERS = Path(__file__).parent / "peers"
Batch = tuple[cavs.GraphBatch, Mapping[str, Array]]


def peer_names() -> list[str]:
    """The modules that are peers; the others, such as the protocol, are their parts."""
    files = sorted(PEERS.glob("*.py"))
    return [file.stem for file in files if "\ndef make(" in file.read_text(encoding="utf-8")]


def load(names: Sequence[str]) -> dict[str, ModuleType]:
    """The peers by name."""
    return {name: importlib.import_module(f"peers.{name}") for name in names}


class Rivals:
    """Makes the peers for the batches of one size.

    Attributes:
        left_out: the peers that could not be made the last time, with the reasons.
    """

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = modules
        self.left_out: dict[str, str] = {}

    def __call__(
        self,
        workload: str,
        weights: Mapping[str, Array],
        batches: Sequence[Batch],
        recipe: Recipe,
        threads: int,
    ) -> dict[str, Peer]:
        """The variants of all peers that know the workload, can run here and take the sizes and the
        recipe; with dropout one for each kind of masks."""
        plain = [peer_batch(graphs, inputs) for graphs, inputs in batches]
        found: dict[str, Peer] = {}
        self.left_out.clear()
        for name, module in self._modules.items():
            if workload not in module.WORKLOADS or module.available(threads) is not None:
                continue
            for variant in module.VARIANTS:
                for title, meant in self._recipes(name, variant, recipe):
                    try:
                        found[title] = module.make(
                            workload, variant, dict(weights), plain, meant, threads
                        )
                    except UnsuitableError as error:
                        self.left_out[title] = str(error)
                        print(f"[bench] {title} skipped: {error}", file=sys.stderr)
        return found

    def _recipes(self, name: str, variant: str, recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
        """Pairs of title and recipe, for the contenders that are one variant of a peer."""
        title = f"{name.removesuffix('_peer')} {variant}".strip()
        known: Mapping[str, Sequence[str]] = getattr(self._modules[name], "MASKS", {})
        if recipe.masks == NO_MASKS or variant not in known:
            yield title, recipe
            return
        for masks in known[variant]:
            yield f"{title}, {masks} masks", recipe.with_masks(masks)


def flush_denormals(modules: Mapping[str, ModuleType]) -> None:
    """Makes denormal numbers zeros for all peers, as they are for cavs."""
    for module in modules.values():
        getattr(module, "flush_denormals", lambda: None)()


def peer_batch(graphs: cavs.GraphBatch, inputs: Mapping[str, Array]) -> PeerBatch:
    """The batch as peers take it."""
    arrays = (graphs.ptr, graphs.child_ptr, graphs.children)
    types = None if graphs.types is None else list(map(str, graphs.types))
    return PeerBatch(*(x.astype(np.int64) for x in arrays), dict(inputs), types)


def skipped(modules: Mapping[str, ModuleType], counts: Sequence[int]) -> dict[str, str]:
    """Maps each peer that cannot run to the reason, and prints it in a line."""
    found = {}
    for name, module in modules.items():
        for threads in counts:
            reason = module.available(threads)
            if reason is not None:
                found[name] = reason
                print(f"[bench] {name} skipped: {reason}", file=sys.stderr)
                break
    return found


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--peers", nargs="*", choices=peer_names(), metavar="NAME", help="(default: all of peers/)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    names = peer_names() if options.peers is None else options.peers
    modules = load(names)
    versions: dict[str, str] = {}
    for module in modules.values():
        versions |= getattr(module, "versions", dict)()
    extra: dict[str, Any] = {
        "skipped": skipped(modules, options.threads or [1, usable_cores()]),
        "peer_versions": versions,
    }
    worker = (sys.executable, __file__, "--worker", ",".join(names))
    try:
        return measure_all(options, "python benchmarks/suite.py", worker, extra)
    except CavsError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        chosen = load([name for name in sys.argv[2].split(",") if name])
        flush_denormals(chosen)
        sys.exit(work(sys.argv[3], sys.argv[4], Rivals(chosen)))
    sys.exit(main(sys.argv[1:]))
