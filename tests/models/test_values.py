"""Models against loops in NumPy, and a batch against its graphs alone."""

from typing import Any

import model_oracles
import numpy as np
import pytest
from model_cases import Case, as_graph, every_case, together

import cavs
from cavs import models
from cavs.core.ir import ancestors
from cavs.core.trace import trace
from cavs.errors import InputError, TraceError


@every_case
@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("policy", ["batching", "serial"])
def test_a_batch_equals_a_loop_over_its_vertices(case: Case, executor: str, policy: str) -> None:
    function = case.make().function
    model = cavs.compile(function, dtype="float64", executor=executor, policy=policy)
    samples = case.samples()
    batch, inputs = together(samples)
    out = model(batch, **inputs)
    parameters = model.state_dict()
    expected = np.concatenate([case.oracle(parameters, *sample) for sample in samples])
    losses = [
        model_oracles.cross_entropy(logits, label)
        for logits, label in zip(expected, inputs["label"], strict=True)
    ]
    np.testing.assert_allclose(out["logits"].numpy(), expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(out["loss"].numpy(), losses, rtol=1e-10, atol=1e-13)


BY = pytest.mark.parametrize("by", ["vertex", "id"])


@every_case
@BY
def test_a_batch_equals_its_graphs_alone(case: Case, by: str) -> None:
    """Values and gradients, with dropout, whose samples go by the graph's key or by ids."""
    if not case.drops(by):
        pytest.skip("features have no ids")
    model = case.make(dropout=0.3, embedding_dropout=0.4, embedding_dropout_by=by)
    samples = case.samples()
    batch, inputs = together(samples)
    start = model.random_state()
    out = model(batch, **inputs)
    out["loss"].sum().backward()
    together_grads = {n: np.array(p.grad) for n, p in model.named_parameters()}
    model.zero_grad()
    rows = []
    for key, (graph, own) in enumerate(samples):
        model.set_random_state(start)
        alone = model(cavs.batch([as_graph(graph)], keys=[key]), **own)
        alone["loss"].sum().backward()
        rows.append(alone["logits"].numpy())
    np.testing.assert_allclose(out["logits"].numpy(), np.concatenate(rows), rtol=1e-10, atol=1e-13)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            np.array(parameter.grad), together_grads[name], rtol=1e-9, atol=1e-12, err_msg=name
        )


@every_case
@pytest.mark.parametrize("where", ["dropout", "embedding_dropout"])
def test_dropout_acts_in_training_only(case: Case, where: str) -> None:
    plain, dropped = case.make(), case.make(**{"embedding_dropout": 0.0, where: 0.5})
    batch, inputs = together(case.samples())
    dropped.load_state_dict(plain.state_dict())
    assert not np.allclose(dropped(batch, **inputs)["logits"], plain(batch, **inputs)["logits"])
    dropped.eval()
    np.testing.assert_allclose(
        dropped(batch, **inputs)["logits"], plain(batch, **inputs)["logits"], rtol=1e-12
    )


def operations(case: Case, **options: Any) -> list[str]:
    """Dropouts in the order of F."""
    order = ancestors(trace(case.make(**options).function).function.roots())
    return [n.op.name for n in order if n.op.name.startswith("dropout")]


@every_case
def test_embeddings_are_dropped_where_it_is_asked_for_or_published(case: Case) -> None:
    shaped = case.function in (models.ShapedTreeLSTM, models.ShapedNaryTreeLSTM)
    states = 3 if shaped else 1  # one for each type with a classifier
    embeddings = 2 if case.function is models.LatticeLSTM else states
    by_default = embeddings if case.function is models.LatticeLSTM else 0
    assert operations(case) == []
    assert operations(case, dropout=0.5) == ["dropout"] * (states + by_default)
    assert operations(case, dropout=0.5, embedding_dropout=0.0) == ["dropout"] * states
    both = operations(case, dropout=0.5, embedding_dropout=0.1)
    assert both == ["dropout"] * (states + embeddings)
    by_id = {"embedding_dropout": 0.1, "embedding_dropout_by": "id"}
    if case.drops("id"):
        assert operations(case, **by_id) == ["dropout_by_id"] * embeddings
    else:
        with pytest.raises(TraceError, match=r"\[dropout\] .*pull 'x'.*dag_rnn\.py"):
            case.make(**by_id)


@every_case
@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"embedding_dropout": 1.0}, r"1\.0"),
        ({"embedding_dropout": -0.1}, r"-0\.1"),
        ({"embedding_dropout_by": "word"}, r"'word'"),
    ],
)
def test_wrong_dropout_of_embeddings_is_refused(
    case: Case, options: dict[str, Any], got: str
) -> None:
    with pytest.raises(InputError, match=rf"\[dropout\] expected .*, got {got}"):
        case.make(**options)
