"""Runs of training that are left and gone on with."""

import numpy as np

from cavs.training import TrainingRun, load_checkpoint


def left_and_resumed(run: TrainingRun, steps: int) -> TrainingRun:
    """The run to its end, resumed from where it was left: it asks whether to stop, and is told so
    after `steps` times."""
    answers = iter([False] * steps + [True])
    assert not run.fit(should_stop=lambda: next(answers, False))
    path = run.directory / "last.safetensors"
    resumed = TrainingRun.resume(path, load_checkpoint(path), run.trainer.config, path.parent)
    assert resumed.fit()
    return resumed


def assert_same_run(found: TrainingRun, expected: TrainingRun) -> None:
    """The same parameters, bit for bit, and scores."""
    assert found.test == expected.test
    arrays = found.model.state_dict()
    for name, array in expected.model.state_dict().items():
        np.testing.assert_array_equal(arrays[name], array)
