"""Folders of the real data sets; tests that use one are skipped where it is missing."""

from pathlib import Path

import pytest


def _folder(data_dir: Path, name: str) -> Path:
    if not (data_dir / name).is_dir():
        pytest.skip(f"no {name}/ in {data_dir}")
    return data_dir / name


@pytest.fixture(scope="session")
def sst_dir(data_dir: Path) -> Path:
    return _folder(data_dir, "sst")


@pytest.fixture(scope="session")
def lattice_dir(data_dir: Path) -> Path:
    return _folder(data_dir, "lattice")


@pytest.fixture(scope="session")
def ptb_dir(data_dir: Path) -> Path:
    return _folder(data_dir, "ptb")


@pytest.fixture(scope="session")
def tags_dir(data_dir: Path) -> Path:
    return _folder(data_dir, "tags")
