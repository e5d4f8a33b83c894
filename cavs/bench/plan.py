"""The plan of a run: parts of the suite with their sizes, from the user's request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cavs.bench.measure import Spec
from cavs.bench.recipes import PLAIN, RECIPES
from cavs.bench.runner import Part, usable_cores
from cavs.bench.workloads import WORKLOADS, Workload
from cavs.errors import InputError

#: Workloads whose passes are switched one by one when nothing else is asked for.
ABLATION = ("tree-lstm", "lattice-lstm")
#: Workloads that run over batches from 1,000 to 1,000,000 vertices.
LINEAR = ("tree-lstm",)
LINEAR_COST = "linear-cost"
#: The second batch size for a recipe that has a batch size of its own.
_LARGE_BATCH = 256
#: The workload in which rivals run with every number of threads; elsewhere they run with the most.
_FULL = "tree-lstm"


@dataclass(frozen=True)
class Request:
    """The user's request; None and empty stand for the defaults of each workload.

    Attributes:
        workloads: names, LINEAR_COST among them.
        passes: ``all``, ``paper`` or ``ablation``.
        recipe: ``plain`` or ``sst``, see `recipes`; None: plain, or, in a run of everything, all
            recipes of a workload.
    """

    workloads: Sequence[str] = ()
    data: str = ""
    hidden_sizes: Sequence[int] | None = None
    batch_sizes: Sequence[int] | None = None
    threads: Sequence[int] | None = None
    modes: Sequence[str] = ("train", "infer")
    passes: str | None = None
    recipe: str | None = None
    seconds: float = 0.3
    rounds: int = 5
    quick: bool = False
    device: str = "cpu"


def make_plan(request: Request) -> list[Part]:
    """The parts, in the order in which they run.

    Raises:
        InputError: a workload lacks the recipe.
    """
    everything = not (request.workloads or request.passes) and request.recipe in (None, PLAIN)
    having = [n for n, w in WORKLOADS.items() if request.recipe in (None, *w.recipes)]
    for name in request.workloads:
        if name not in having and not (name == LINEAR_COST and request.recipe in (None, PLAIN)):
            raise InputError(
                f"[bench] expected a workload among {having} with recipe {request.recipe}, got "
                f"{name!r}; choose one of these"
            )
    names = [n for n in request.workloads or having if n != LINEAR_COST]
    parts = []
    for name in names if request.passes != "ablation" else ():
        recipes: Sequence[str] = (request.recipe or PLAIN,)
        if everything and request.recipe is None:
            recipes = WORKLOADS[name].recipes[::-1]  # first the one that models are trained with
        parts += [_speed(request, WORKLOADS[name], recipe) for recipe in recipes]
    if request.passes == "ablation" or everything:
        chosen = names if request.workloads else [n for n in ABLATION if n in having]
        parts += [_ablation(request, WORKLOADS[n]) for n in chosen]
    if LINEAR_COST in request.workloads or everything:
        parts.append(_linear(request))
    return parts


def part_name(workload: str, recipe: str, kind: str = "speed") -> str:
    """The name of a part, and of the file of its results."""
    words = [workload, *([] if recipe == PLAIN else [recipe])]
    return "-".join([*words, *([] if kind == "speed" else [kind])])


def _threads(request: Request) -> list[int]:
    cores = usable_cores()
    if request.threads:
        return list(request.threads)
    return [1] if request.quick or cores == 1 else [cores, 1]


def _specs(request: Request, kind: str, workload: Workload, **sizes: Any) -> list[Spec]:
    """A spec for each number of threads."""
    defaults: dict[str, Any] = {
        "passes": request.passes or "paper",
        "hidden_sizes": request.hidden_sizes or workload.hidden_sizes,
        "batch_sizes": request.batch_sizes or workload.batch_sizes,
        "leaves": workload.leaves,
        "modes": request.modes,
        "seconds": request.seconds,
        "rounds": request.rounds,
        "samples": 4096,
        "threads": _threads(request),
    }
    if request.quick:
        defaults |= {
            "hidden_sizes": request.hidden_sizes or (16,),
            "batch_sizes": request.batch_sizes or (1, 8),
            "leaves": tuple(n and 16 for n in workload.leaves[:1]),
            "seconds": min(request.seconds, 0.02),
            "rounds": min(request.rounds, 2),
            "samples": 64,
        }
    defaults |= sizes
    counts = defaults.pop("threads")
    return [
        Spec(
            kind=kind,
            workload=workload.name,
            data=request.data,
            threads=threads,
            device=request.device,
            rivals=kind == "speed"
            and (workload.name == _FULL or bool(request.threads) or threads == max(counts)),
            **defaults,
        )
        for threads in counts
    ]


def _speed(request: Request, workload: Workload, recipe: str) -> Part:
    """The part for speed. With data, ``cavs train`` itself runs after a recipe's processes."""
    sizes: dict[str, Any] = {"recipe": recipe}
    own = RECIPES[recipe].batch_size
    if own is not None and not request.batch_sizes and not request.quick:
        sizes["batch_sizes"] = (own, _LARGE_BATCH)
    specs = _specs(request, "speed", workload, **sizes)
    if recipe != PLAIN and request.data and "train" in request.modes:
        commands = [replace(spec, kind="command", modes=("train",), rivals=False) for spec in specs]
        specs = [spec for pair in zip(specs, commands, strict=True) for spec in pair]
    return Part(part_name(workload.name, recipe), specs)


def _ablation(request: Request, workload: Workload) -> Part:
    """The part for passes, at one batch size and one number of threads unless others are asked
    for."""
    recipe = request.recipe or PLAIN
    sizes: dict[str, Any] = {"passes": "ablation", "threads": _threads(request)[:1]}
    if not request.batch_sizes and not request.quick:
        sizes["batch_sizes"] = workload.batch_sizes[-1:]
    specs = _specs(request, "ablation", workload, recipe=recipe, **sizes)
    return Part(part_name(workload.name, recipe, "ablation"), specs)


def _linear(request: Request) -> Part:
    """The part for linear cost; its batch sizes are counted in vertices."""
    vertices = (1000, 10_000) if request.quick else (1000, 10_000, 100_000, 1_000_000)
    sizes: dict[str, Any] = {"batch_sizes": vertices, "threads": _threads(request)[:1]}
    sizes |= {"modes": ("train",), "leaves": (None,)}
    if not request.hidden_sizes and not request.quick:
        sizes["hidden_sizes"] = (64,)
    specs = []
    for name in LINEAR:
        specs += _specs(request, "linear", WORKLOADS[name], **sizes)
    return Part(LINEAR_COST, specs)
