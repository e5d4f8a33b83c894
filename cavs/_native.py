"""The compiled extension, or an ImportError that says how to get it.

For the packages below the executor, which need its graph classes and nothing else of it.
"""

from importlib import import_module
from typing import Any

__all__ = ["core"]

try:
    #: The module ``cavs._core``; typed `Any`, because a type checker sees no C++.
    core: Any = import_module("cavs._core")
except ModuleNotFoundError as error:
    raise ImportError(
        "[cavs] expected the compiled extension cavs._core next to the Python files, got "
        f"{error}; run `pip install .` in the repository, and Python outside of it"
    ) from error
except ImportError as error:
    raise ImportError(
        f"[cavs] expected the compiled extension cavs._core to load, got {error}; install cavs "
        "again with this Python"
    ) from error
