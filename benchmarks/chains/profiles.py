"""Where the time of a training step goes, in cavs and in PyTorch, where a goal was missed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch

from cavs.bench.contenders import Contender

_MOST = 6


def of_cavs(contender: Contender) -> Iterator[str]:
    """Shares of a training step, by kind of instruction."""
    graphs, inputs = contender._batch(1)
    model = contender._subject.models[0]
    given: dict[str, Any] = dict(inputs)
    whole, packing, profiles = [], [], []
    for _ in range(3):
        begin = time.process_time()
        contender.train_step(1)
        whole.append(time.process_time() - begin)
        # The step has changed the weights, so that a run packs them.
        profile = model.explain(graphs, loss="loss", repeats=1, **given)
        packing.append(sum(parts["packing"] for parts in profile.seconds.values()))
        profile.seconds["training"]["packing"] = 0.0
        profiles.append(profile)
    profile = min(profiles, key=lambda found: sum(found.seconds["training"].values()))
    spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for record in profile.records:
        if record.direction != "inference":
            kind = "moves" if record.moves else record.kernel
            kind = f"{kind}, {record.place}" if kind == "matmul" else kind
            spent[kind][0] += record.seconds
            spent[kind][1] += record.flops
    total = sum(profile.seconds["training"].values())
    yield (
        f"cavs, {1e3 * min(whole):.1f} ms with the update. Packing of changed weights takes "
        f"{1e3 * min(packing):.1f} ms, forward and backward by the engine's clocks "
        f"{1e3 * total:.1f} ms:"
    )
    for kind, (seconds, flops) in sorted(spent.items(), key=lambda item: -item[1][0])[:_MOST]:
        rate = f", {flops / seconds / 1e9:.0f} GFLOP/s" if flops and seconds else ""
        yield f"- {kind} {1e3 * seconds:.1f} ms{rate}"


def of_torch(contender: Any) -> Iterator[str]:
    """Operations that take the most time by themselves."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        contender.train_step(1)
    events = sorted(profile.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    yield f"PyTorch, {total / 1e3:.1f} ms with the update:"
    for event in events[:_MOST]:
        yield f"- {event.key} {event.self_cpu_time_total / 1e3:.1f} ms, {event.count} calls"
