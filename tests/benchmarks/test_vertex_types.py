"""`benchmarks/vertex_types.py`: contenders compute the same, counts are true, and it all runs."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "vertex_types.py"
PARTS = ["batches", "trees", "lattices", "tagger", "threads", "schedule", "work", "memory"]


@pytest.fixture(scope="module", autouse=True)
def _on_path() -> Iterator[None]:
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typed import generated

    return generated.write(tmp_path_factory.mktemp("data"))


def gradients(parameters: dict[str, Any]) -> dict[str, Any]:
    """As arrays, with all rows of an embedding."""
    found = {}
    for name, parameter in parameters.items():
        grad = parameter.grad
        assert grad is not None, name
        found[name] = np.asarray(grad.to_dense() if hasattr(grad, "to_dense") else grad)
    return found


def contenders(folder: Path, name: str) -> tuple[Any, Any]:
    """Ours and the one without types, of the same parameters."""
    from typed import corpora, functions, untyped
    from typed.contenders import FourPrograms, Whole
    from words_on_edges import sharing_layers

    corpus: Any
    function: Any
    if name == "tree":
        corpus = corpora.trees(folder, ("a", "b", "c"), 12)
        function = functions.tree(("a", "b", "c"), **corpus.sizes, size=6, hidden=5)
        return Whole(function, corpus.typed), Whole(untyped.EveryCell(function), corpus.plain)
    if name == "lattice":
        corpus = corpora.lattices(folder, 12)
        function = functions.lattice(**corpus.sizes, size=6, hidden=5)
        return Whole(function, corpus.typed), Whole(sharing_layers(function), corpus.plain)
    corpus = corpora.tagger(folder, 12)
    function = functions.tagger(**corpus.sizes, size=6, letters=4, hidden=5)
    return Whole(function, corpus.typed), FourPrograms(function, corpus)


@pytest.mark.parametrize("name", ["tree", "lattice", "tagger"])
def test_contenders_without_types_compute_the_same(folder: Path, name: str) -> None:
    cavs.nn.init.manual_seed(0)
    ours, other = contenders(folder, name)
    parameters = dict(ours.model.named_parameters())
    losses, found = [], []
    for contender in (ours, other):
        contender.see(np.array([3, 0, 7]))
        losses.append(contender.loss())
        made = (contender._batch,) if hasattr(contender, "_batch") else ()
        contender._loss(*made).backward()
        found.append(gradients(parameters))
        ours.model.zero_grad()
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for path, expected in found[0].items():
        np.testing.assert_allclose(found[1][path], expected, rtol=2e-4, atol=2e-5, err_msg=path)


@pytest.mark.parametrize("name", ["tree", "lattice", "tagger"])
def test_steps_over_new_batches_learn_the_same(folder: Path, name: str) -> None:
    losses = []
    for which in range(2):
        cavs.nn.init.manual_seed(0)
        contender = contenders(folder, name)[which]
        for indices in ([0, 1], [2, 3, 1]):
            contender.step(np.array(indices))
        contender.see(np.array([4, 0]))
        losses.append(contender.loss())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_the_least_number_of_batches_is_a_bound(folder: Path) -> None:
    from typed import batches, graphs

    for case in graphs.cases(folder, 20):
        order = batches.order_of(case)
        given = cavs.batch(random.Random(0).sample(case.graphs, 6))
        least = batches.least(given, case.outside)
        for policy in batches.POLICIES:
            assert given.schedule(policy, order).num_batches >= least > 0


def test_policies_learn_from_graphs(folder: Path) -> None:
    from typed import batches, graphs

    case = next(iter(graphs.cases(folder, 20)))
    order = batches.order_of(case)
    given = cavs.batch(case.graphs[:8])
    policy = batches.learned([given], order)
    assert policy.types == case.types
    assert given.schedule(policy, order).num_batches >= batches.least(given, ())


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--output", str(output), *PARTS],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("## ") == len(PARTS)
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert {row["mode"] for row in rows} == {"train", "infer", "step"}
    assert all(min(row["milliseconds"].values()) > 0 for row in rows)


def test_an_unknown_part_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "trains"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "got trains" in done.stderr


def test_data_must_be_named() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "trees"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--data DIR" in done.stderr
