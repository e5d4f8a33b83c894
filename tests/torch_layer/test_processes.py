"""Threads and data loaders' workers beside a layer, and what importing cavs.torch takes."""

import subprocess
import sys
import threading
from typing import Any

import pytest
from busy_threads import run_script, together
from torch_cell import GRAPHS, Cell, arrays, inputs

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def test_threads_share_a_layer() -> None:
    layer, plain = Layer(Cell()), arrays()
    layer(GRAPHS, **inputs())["square"].sum().backward()
    expected = {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}

    def work(number: int) -> bool:
        for _ in range(20):
            given = {k: torch.from_numpy(x.copy()) for k, x in plain.items()}
            y = layer(GRAPHS, **given)["square"].sum()
            names = list(expected)
            found = torch.autograd.grad(y, [layer.get_parameter(name) for name in names])
            for name, grad in zip(names, found, strict=True):
                assert torch.equal(grad, expected[name])
            with torch.no_grad():
                assert torch.equal(layer(GRAPHS, **given)["square"].sum(), y)
        return True

    assert together(2, work) == [True, True]
    assert threading.active_count() < 50


def _collate(trees: list[tuple[cavs.InputGraph, list[int]]]) -> tuple[cavs.GraphBatch, Any]:
    graphs = cavs.batch([graph for graph, _ in trees])
    return graphs, torch.tensor([word for _, words in trees for word in words])


def test_workers_of_a_data_loader_batch_graphs() -> None:
    layer = Layer(Cell())
    x = torch.ones(1, 4)
    trees = [(cavs.InputGraph([[], [0]]), [i % 7, 0]) for i in range(12)]
    layer(trees[0][0], word=torch.tensor([1, 2]), x=x.expand(2, 4))  # threads are there
    loader = torch.utils.data.DataLoader(
        trees, batch_size=4, collate_fn=_collate, num_workers=2, multiprocessing_context="fork"
    )
    plain = torch.utils.data.DataLoader(trees, batch_size=4, collate_fn=_collate)
    for (graphs, word), (same, known) in zip(loader, plain, strict=True):
        assert torch.equal(word, known)
        y = layer(graphs, word=word, x=x.expand(8, 4))["h"]
        assert torch.equal(y, layer(same, word=known, x=x.expand(8, 4))["h"])
        y.sum().backward()


def test_torch_is_imported_by_this_module_alone() -> None:
    run_script(
        """
        import sys
        import pkgutil
        import cavs, cavs.data, cavs.models, cavs.training, cavs.cli.main
        assert "torch" not in sys.modules
        import cavs.torch
        assert "torch" in sys.modules
        assert "torch._dynamo" not in sys.modules
        """
    )


def test_without_torch_one_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['torch'] = None\nimport cavs.torch"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: [torch] expected PyTorch")
    assert last.endswith("pip install torch")
