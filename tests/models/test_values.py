"""Models against loops in NumPy, and a batch against its graphs alone."""

import model_oracles
import numpy as np
import pytest
from model_cases import Case, every_case, together

import cavs


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


@every_case
def test_a_batch_equals_its_graphs_alone(case: Case) -> None:
    """Values and gradients, with dropout, whose samples go by the graph's key."""
    model = case.make(dropout=0.3)
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
        alone = model(cavs.batch([cavs.InputGraph(children=graph)], keys=[key]), **own)
        alone["loss"].sum().backward()
        rows.append(alone["logits"].numpy())
    np.testing.assert_allclose(out["logits"].numpy(), np.concatenate(rows), rtol=1e-10, atol=1e-13)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            np.array(parameter.grad), together_grads[name], rtol=1e-9, atol=1e-12, err_msg=name
        )


@every_case
def test_dropout_acts_in_training_only(case: Case) -> None:
    plain, dropped = case.make(), case.make(dropout=0.5)
    batch, inputs = together(case.samples())
    dropped.load_state_dict(plain.state_dict())
    assert not np.allclose(dropped(batch, **inputs)["logits"], plain(batch, **inputs)["logits"])
    dropped.eval()
    np.testing.assert_allclose(
        dropped(batch, **inputs)["logits"], plain(batch, **inputs)["logits"], rtol=1e-12
    )
