"""Fixtures and settings for the whole suite."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module, metadata, util
from pathlib import Path

import cuda_driver
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
_START = Path.cwd()

# A slow machine is no failure, and the examples that are tried must not change from run to run.
settings.register_profile("cavs", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "cavs"))


def pytest_report_header() -> str:
    spec = util.find_spec("cavs")
    place = spec.origin if spec is not None else "nowhere: pip install -e '.[test]' first"
    try:
        version = metadata.version("cavs-nn")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"cavs {version} from {place}"


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs the suite in a folder of its own: in the repository's root `python -m cavs`, which tests
    start, would find the source folder before the installed package."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


def pytest_configure() -> None:
    """A shell has its background jobs ignore SIGINT, and nohup has them ignore SIGHUP; programs
    that tests interrupt would ignore them too."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_sessionstart() -> None:
    """The library's vertex functions are too narrow for commute_gather to pay, and must test it:
    those too that a module compiles when it is imported."""
    import_module("cavs.core.passes.commute_gather").WORTH = 0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests that were collected are objects by the million, at which the garbage collector need not
    look again each time: of all tests, those that call it took 9 s each.

    The driver is opened when it is first used, so that this is early enough."""
    gc.collect()
    gc.freeze()
    if not session.config.option.collectonly:
        cuda_driver.prepare(session.config, session.items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Writes why each test was skipped, and its id, into the file $CAVS_SKIPPED, if it is given, so
    that these alone can run again when what they need is there."""
    path = os.environ.get("CAVS_SKIPPED")
    if path is not None:
        skipped = terminalreporter.stats.get("skipped", [])
        lines = [f"{report.longrepr[2]}\t{report.nodeid}\n" for report in skipped]
        Path(path).write_text("".join(lines), encoding="utf-8")


@pytest.fixture(autouse=True)
def _captures_give_graphs(request: pytest.FixtureRequest) -> Iterator[None]:
    """The engine goes on without a graph where a capture fails: tests of GPUs do not."""
    core = import_module("cavs._native").core
    if request.node.get_closest_marker("gpu") is None or not core.cuda.built:
        yield
        return
    before = core.cuda.counts()["lost_captures"]
    yield
    assert core.cuda.counts()["lost_captures"] == before


@pytest.fixture(autouse=True)
def _seeds_stay() -> Iterator[None]:
    """No test begins with the default seed that another one chose, and each draws the same initial
    values whichever tests ran before it."""
    seeds = import_module("cavs._seed")
    import_module("cavs.nn.init").manual_seed(0)
    before = seeds.seed_or_default(None)
    yield
    seeds.set_default_seed(before)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of sst/ and lattice/: $CAVS_DATA, or ../shared/data next to the checkout."""
    candidates = [ROOT.parent / "shared" / "data"]
    if "CAVS_DATA" in os.environ:
        candidates.insert(0, _START / os.environ["CAVS_DATA"])
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    pytest.skip("no data sets: set CAVS_DATA to the folder that holds sst/ and lattice/")


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """The number of the engine's threads is as before when the test is over."""
    cavs = import_module("cavs")
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)
