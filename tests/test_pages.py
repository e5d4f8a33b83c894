"""What pages mention is there: links, files, commands with their options, names, tests."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import cavs
from cavs.cli.main import make_parser
from cavs.training.tasks import MODELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for place in (".", "docs", "benchmarks", "examples")
    for path in sorted((ROOT / place).glob("*.md" if place == "." else "**/*.md"))
}
each_page = pytest.mark.parametrize("page", PAGES)
FENCE = re.compile(r"^```(\w*).*?\n(.*?)^```", re.S | re.M)
FOLDERS = r"(?:cavs|csrc|tests|tools|benchmarks|docs|examples|cmake|\.ci)/"
#: Options of other programs, and names that a page says are not there.
OTHER_OPTIONS = {"--build", "--test-dir", "--install", "--prefix", "--check", "--dry-run"}
OTHER_OPTIONS |= {"--strict", "--gpus", "--no-deps", "--fmad"}
OTHER_NAMES = {"cavs.executor", "cavs.ops.NAME", "ops.chunk"}


def outside_fences(page: str) -> str:
    return FENCE.sub("", PAGES[page])


def anchors(page: str) -> set[str]:
    """What GitHub makes of headings: lower case, hyphens, no other signs."""
    titles = re.findall(r"^#+ (.*)$", outside_fences(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", outside_fences(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), link


@each_page
def test_files_that_are_named_are_there(page: str) -> None:
    for words in re.findall(r"`([^`\n]+)`", outside_fences(page)):
        for name in re.findall(rf"(?<![\w./])({FOLDERS}[\w./*<>-]*[\w*])", words):
            pattern = re.sub(r"<\w+>", "*", name)
            assert "_core" in pattern or list(ROOT.glob(pattern)), name


def parse(command: str) -> None:
    """Parses a command of cavs as its program does; names of a shell's variables count as 1."""
    words = [re.sub(r"\$\w+", "1", word) for word in shlex.split(command)]
    make_parser().parse_args(words[1:])


@each_page
def test_commands_parse(page: str) -> None:
    blocks = [text for language, text in FENCE.findall(PAGES[page]) if language in ("", "sh")]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    for line in lines:
        for command in line.split(" #")[0].split("|"):
            needs_a_run = ":" in command and "--resume" in command  # whose task its checkpoint says
            if re.match(r"\s*cavs \w+", command) and not needs_a_run:
                parse(command)


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser, and of the commands in it."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            found.update(*map(options_of, action.choices.values()))
    return found


def known_options() -> set[str]:
    """Options of the commands, of the benchmarks, the tools and the examples."""
    texts = [
        path.read_text(encoding="utf-8")
        for place in ("cavs/cli", "benchmarks", "tools", "examples")
        for path in (ROOT / place).rglob("*")
        if path.suffix in (".py", ".sh")
    ]
    of_tasks = {option.name for model, task in MODELS.items() for option in task.options_of(model)}
    found = set(re.findall(r"--[a-z][\w-]+", "\n".join(texts))) | options_of(make_parser())
    return found | OTHER_OPTIONS | {"--" + name.replace("_", "-") for name in of_tasks}


def test_options_that_are_named_are_there() -> None:
    known = known_options()
    for page, text in PAGES.items():
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", text):
            assert option in known, (page, option)


def test_variables_that_are_named_are_read() -> None:
    places = ("cavs", "csrc", "cmake", "tools", "tests", "benchmarks", ".ci")
    files = [p for place in places for p in (ROOT / place).rglob("*") if p.is_file()]
    files += [ROOT / "CMakeLists.txt", ROOT / "pyproject.toml"]
    kinds = (".py", ".cpp", ".h", ".sh", ".txt", ".cmake", ".toml", "")
    source = "\n".join(p.read_text(encoding="utf-8") for p in files if p.suffix in kinds)
    for page, text in PAGES.items():
        for name in re.findall(r"\bCAVS_[A-Z_0-9]*[A-Z0-9]\b", text):
            assert name in source, (page, name)


def is_there(name: str) -> bool:
    """Whether a name with dots is one of cavs: a module's, or an attribute's."""
    first, *rest = name.split(".")
    found = cavs if first == "cavs" else getattr(cavs, first)
    for part in rest:
        if not hasattr(found, part):
            try:
                importlib.import_module(f"{found.__name__}.{part}")
            except (ImportError, AttributeError):
                return False
        found = getattr(found, part)
    return True


@each_page
def test_names_that_are_shown_are_there(page: str) -> None:
    has_torch = importlib.util.find_spec("torch") is not None
    for words in re.findall(r"`([^`\n]+)`", outside_fences(page)):
        for name in re.findall(r"(?<![\w./-])((?:cavs|ops|optim|data)(?:\.[A-Za-z]\w*)+)", words):
            if name in OTHER_NAMES or (name.startswith("cavs.torch") and not has_torch):
                continue
            assert is_there(name), name


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/lab/")])
def test_tests_that_claims_name_are_there(page: str) -> None:
    for file, name in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", PAGES[page]):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, f"{file}::{name}"
