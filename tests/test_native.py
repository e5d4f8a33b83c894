"""Where the compiled extension is found: beside the sources, or where the package was installed."""

import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cavs

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(cavs.__file__).parent
# Where NumPy and the others are, without what `site` would add: this checkout among it.
LIBRARIES = Path(np.__file__).parents[1]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout as it is cloned, without an extension."""
    folder = tmp_path / "clone"
    shutil.copytree(PACKAGE, folder / "cavs", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages with cavs in it."""
    folder = tmp_path / "site"
    shutil.copytree(PACKAGE, folder / "cavs", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(clone: Path, *arguments: str, path: tuple[Path, ...]) -> "subprocess.CompletedProcess[str]":
    others = clone.parent / "libraries"  # cavs itself may be installed beside them
    if not others.is_dir():
        others.mkdir()
        for entry in LIBRARIES.iterdir():
            if not entry.name.startswith(("cavs", "__editable__")):
                (others / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, others)))}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def failure(done: "subprocess.CompletedProcess[str]") -> str:
    """The last line of a traceback."""
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


def test_the_snippet_of_the_readme_runs_in_the_clone(clone: Path, site: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (clone / "README.md").read_text(), re.DOTALL)[
        :1
    ]
    script = f"{snippet}\nimport cavs._core\nprint(cavs.__file__, cavs._core.__file__)"
    done = run(clone, "-c", script, path=(site,))
    assert done.returncode == 0, done.stderr
    loss, places = done.stdout.splitlines()
    assert np.isfinite(float(loss))
    sources, extension = places.split()
    assert Path(sources).is_relative_to(clone)
    assert Path(extension).is_relative_to(site)


@pytest.mark.parametrize("module", ["cavs info", "cavs bench --help"])
def test_programs_run_in_the_clone(clone: Path, site: Path, module: str) -> None:
    done = run(clone, "-m", *module.split(), path=(site,))
    assert done.returncode == 0, done.stderr


def test_an_extension_beside_the_sources_comes_first(clone: Path, site: Path) -> None:
    (extension,) = PACKAGE.glob("_core*.so")
    shutil.copy(extension, clone / "cavs")
    done = run(clone, "-c", "import cavs._core as c; print(c.__file__)", path=(site,))
    assert Path(done.stdout.strip()).is_relative_to(clone), done.stderr


def test_without_any_extension_the_error_says_how_to_install(clone: Path) -> None:
    said = failure(run(clone, "-c", "import cavs", path=()))
    assert said.startswith("ImportError: [cavs] expected the compiled extension")
    assert "pip install ." in said


def test_an_extension_of_another_version_is_refused(clone: Path, site: Path) -> None:
    project = clone / "pyproject.toml"
    project.write_text(project.read_text().replace(f'"{cavs.__version__}"', '"9.9.9"', 1))
    said = failure(run(clone, "-c", "import cavs", path=(site,)))
    assert "9.9.9" in said
    assert cavs.__version__ in said
    assert "pip install ." in said


def test_an_extension_that_does_not_load_says_to_install_again(clone: Path, site: Path) -> None:
    for extension in (site / "cavs").glob("_core*.so"):
        extension.write_bytes(b"no library")
    assert "install cavs again" in failure(run(clone, "-c", "import cavs", path=(site,)))


def test_an_extension_that_was_cut_off_says_so(clone: Path, site: Path) -> None:
    """To load it would end the process."""
    (extension,) = (site / "cavs").glob("_core*.so")
    whole = extension.read_bytes()
    for size in (64, 100_000, len(whole) - 1):
        extension.write_bytes(whole[:size])
        assert "the end is missing" in failure(run(clone, "-c", "import cavs", path=(site,)))


def test_an_extension_for_another_processor_says_so(clone: Path, site: Path) -> None:
    (extension,) = (site / "cavs").glob("_core*.so")
    content = bytearray(extension.read_bytes())
    content[18] ^= 0xFF  # the low byte of the ELF header's machine
    extension.write_bytes(content)
    assert "is for another processor" in failure(run(clone, "-c", "import cavs", path=(site,)))


@pytest.mark.parametrize("damaged", ["source", "compiled"])
def test_a_command_whose_files_are_damaged_says_so_in_a_line(
    clone: Path, site: Path, damaged: str
) -> None:
    source = clone / "cavs" / "readout.py"
    if damaged == "source":
        source.write_text("def (:\n")
    else:
        compiled = Path(py_compile.compile(str(source)))
        compiled.write_bytes(compiled.read_bytes()[:20])
    done = run(clone, "-m", "cavs", "info", path=(site,))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("cavs: [cavs] expected files that Python can read, got: ")


def test_an_extension_of_other_sources_says_to_build_it_again(clone: Path, site: Path) -> None:
    """As after `git pull`: the Python files know names that the extension does not have."""
    script = "from cavs._native import core\nassert not hasattr(core, 'Later')\ncore.Later"
    said = failure(run(clone, "-c", script, path=(site,)))
    assert said.startswith("AttributeError: [cavs] expected Later in the compiled extension")
    assert "build it again" in said
    with (clone / "cavs" / "memory" / "__init__.py").open("a") as file:
        file.write("\nfrom cavs._native import core\n\ncore.Later\n")
    done = run(clone, "-m", "cavs", "info", path=(site,))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("cavs: [cavs] expected Later in the compiled extension")


def test_a_command_without_an_extension_says_so_in_a_line(clone: Path) -> None:
    done = run(clone, "-m", "cavs", "info", path=())
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("cavs: [cavs] expected the compiled extension")
