"""One seed for a whole program."""

from __future__ import annotations

from cavs._locks import new_lock
from cavs._seed import set_default_seed
from cavs.nn import init
from cavs.tensor import check_seed

_lock = new_lock()


def manual_seed(seed: int) -> None:
    """Makes a program that calls it first draw the same numbers whenever it runs.

    It starts the generator of initial values anew (``cavs.nn.init``), and what is made afterwards
    and is given no seed has this one: compiled models and programs, ``cavs.Generator``, loaders,
    samplers and ``listops_corpus`` of ``cavs.data``, and ``cavs.training.TrainingConfig``. What
    exists already goes on as it was. It holds for all threads.

    Two models that are compiled afterwards have one seed, as without it, where all have 0: in the
    same step both draw the same numbers for the same operation, graph and vertex. To tell them
    apart, give each a seed: ``cavs.compile(function, seed=1)``.

    Args:
        seed: 0..2**64-1.

    Raises:
        InputError: no such integer; nothing has changed then.
    """
    found = check_seed(seed)
    with _lock:  # two threads that call it leave the seed of one of them
        init.manual_seed(found)
        set_default_seed(found)
