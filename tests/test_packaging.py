"""What is installed: version, metadata, typing marker, extension, console script, build options."""

import re
import shutil
import subprocess
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "cavs-nn"


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    try:
        metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pytest.skip(f"no distribution {DISTRIBUTION} is installed: pip install -e '.[test]'")


def declared_version() -> str:
    lines = re.findall(
        r'^version = "([^"]+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert len(lines) == 1, "CMakeLists.txt reads the version from the one such line"
    return str(lines[0])


def test_version_has_one_source() -> None:
    assert metadata.version(DISTRIBUTION) == declared_version()
    assert import_module("cavs").__version__ == declared_version()


def test_no_message_names_the_distribution_of_another_project() -> None:
    places = [
        ROOT / name for name in ("cavs", "docs", "benchmarks", "README.md", "CONTRIBUTING.md")
    ]
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    texts = {file: file.read_text() for file in files if file.suffix in (".py", ".md")}
    wrong = re.compile(r"\bcavs\[|pip install '?cavs\b(?!-nn)")
    assert len(texts) > 100
    assert [str(file) for file, text in texts.items() if wrong.search(text)] == []


def test_changelog_names_the_version() -> None:
    assert f"## {declared_version()}" in (ROOT / "CHANGELOG.md").read_text()


def test_runtime_dependencies_are_light() -> None:
    required = [line for line in metadata.requires(DISTRIBUTION) or [] if "extra ==" not in line]
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in required}
    assert names == {"numpy", "safetensors", "scipy-openblas32", "tomli", "tqdm"}


def test_extras_are_declared() -> None:
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    assert {"test", "dev", "viz", "bench"} <= set(extras)


def test_each_dependency_has_its_reason() -> None:
    lines = re.findall(r'"([A-Za-z][\w-]*)(?:\[\w+\])?[<>=]', (ROOT / "pyproject.toml").read_text())
    assert {"numpy", "torch", "pytest"} <= set(lines)
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Dependencies")[2]
    assert [name for name in lines if name != "setuptools" and f"`{name}`" not in table] == []


def test_package_is_typed() -> None:
    assert resources.files("cavs").joinpath("py.typed").is_file()


def test_extension_stands_in_the_package_that_is_imported() -> None:
    package, extension = import_module("cavs"), import_module("cavs._core")
    assert package.__file__ is not None
    assert extension.__file__ is not None
    assert Path(extension.__file__).parent == Path(package.__file__).parent


def test_console_script_resolves() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="cavs")
    assert callable(script.load())


def configure(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed (extra: dev)")
    command = [cmake, "-S", str(ROOT), "-B", str(folder), "-DCAVS_BUILD_PYTHON=OFF", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_unknown_cuda_choice_is_refused(tmp_path: Path) -> None:
    done = configure(tmp_path, "-DCAVS_CUDA=MAYBE")
    assert done.returncode != 0
    assert "CAVS_CUDA must be AUTO, ON or OFF" in done.stderr


@pytest.mark.parametrize("choice", ["AUTO", "ON", "OFF"])
def test_builds_configure_without_a_toolkit(tmp_path: Path, choice: str) -> None:
    done = configure(tmp_path, f"-DCAVS_CUDA={choice}")
    assert done.returncode == 0, done.stderr
