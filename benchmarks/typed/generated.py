"""Small files of the kinds that the benchmark reads, drawn at random: for a trial of it."""

from __future__ import annotations

import random
from pathlib import Path


def _words(draw: random.Random, most: int) -> list[str]:
    count = draw.randint(3, most)
    return ["".join(draw.choices("abcd", k=draw.randint(1, 5))) for _ in range(count)]


def _tree(draw: random.Random) -> str:
    spans = [f"({draw.randint(0, 4)} {word})" for word in _words(draw, 12)]
    while len(spans) > 1:
        left = draw.randrange(len(spans) - 1)
        spans[left : left + 2] = [f"({draw.randint(0, 4)} {' '.join(spans[left : left + 2])})"]
    return spans[0]


def _lattice(draw: random.Random) -> str:
    length = draw.randint(4, 12)
    lines = [str(length), " ".join(str(draw.randint(0, 3)) for _ in range(length)), "0"]
    for place in range(1, length):
        begins = [b for b in range(max(0, place - 4), place - 1) if draw.random() < 0.4]
        edges = [
            f"{place - 1} {draw.randint(0, 30)}",
            *(f"{b} {draw.randint(0, 50)}" for b in begins),
        ]
        lines.append(" ".join([str(len(edges)), *edges]))
    return "\n".join(lines)


def write(folder: Path, count: int = 80) -> Path:
    """Writes `count` samples of each kind; gives the folder."""
    draw = random.Random(0)
    texts = {
        "sst/dev.txt": [_tree(draw) for _ in range(count)],
        "lattice/train.txt": [str(count), *(_lattice(draw) for _ in range(count))],
        "tags/dev.txt": [
            " ".join(f"{word}|T{draw.randint(0, 3)}" for word in _words(draw, 10))
            for _ in range(count)
        ],
        "ptb/valid.txt": [" ".join(_words(draw, 10)) for _ in range(2 * count + 1)],
    }
    for name, lines in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
