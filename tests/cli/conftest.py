"""Small data, and a short run of each model, for tests of commands that read them."""

from pathlib import Path

import pytest
from option_settings import settings_of, words_of
from user_model_files import write_small_data

from cavs.cli import main
from cavs.training.tasks import MODELS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Path]:
    """The folder of a short run of each model."""
    folder = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        given = words_of({**settings_of(model, data), "epochs": 1})
        assert main(["train", model, *given, "--quiet", "--output", str(folder / model)]) == 0
    return {model: folder / model for model in MODELS}
