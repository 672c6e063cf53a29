"""How much of a space that was run out samplers find for a fifth of its training.

    python benchmarks/run_out.py [--work FOLDER] [--demo FOLDER] [--out FILE]

`make demo` makes the model and its data. `edgeshrink search --sampler grid` measures every recipe
of the space, each trained for real; ended anywhere, it goes on. Then samplers choose among these
recipes, one by one, and are told what the grid measured; a training step that an earlier recipe
shares costs nothing, as in the search. The volume is that below the front, of scores above chance
and logarithms of bytes below the base's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine
import numpy as np

from edgeshrink.engine.searching.choosing import Chooser
from edgeshrink.engine.searching.front import hypervolume, on_front
from edgeshrink.plugins import installed
from edgeshrink.recipes import Point, Space

RESULTS = Path(__file__).parent / "results" / "run_out.json"
EPOCHS, CHANCE, SHARE = 3, 0.1, 0.2
SEEDS, ORDERS = (0, 1, 2), 200  # of our sampler, and of chance
OTHER = 0.05  # of a training, what a recipe costs beside
SPACE = f"""
[training]
epochs = {EPOCHS}
lr = 1e-3

[[step]]
method = "shrink"
optional = true
ratio = [0.25, 0.5, 0.75]
target = "macs"

[[step]]
method = "prune"
optional = true
sparsity = [0.5, 0.8, 0.9]

[[step]]
method = "cluster"
optional = true
clusters = [32, 16, 8]

[[step]]
method = "int4"

[[step]]
method = "int8"

[[step]]
method = "pack"
"""
Values = dict[Point, tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / ".cache" / "run_out")
    parser.add_argument("--demo", type=Path, default=Path("demo-out"), help="of `make demo`")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    space = Space.from_toml(SPACE, installed().methods)
    values, reference, seconds = grid(given.work, given.demo, space)
    whole = hypervolume(np.array(list(values.values())), reference)
    every = sum(trained(values))
    budget = SHARE * every

    def share(order: Callable[[int], Iterator[Point]], seed: int) -> float:
        found, spent = [], 0
        tried: list[Point] = []
        for point in order(seed):
            tried.append(point)
            spent += trained(tried)[-1]
            if spent > budget:
                break
            found.append(values[point])
        return round(hypervolume(np.array(found), reference) / whole, 4)

    ours = [share(lambda seed: guided(space, values, reference, seed), seed) for seed in SEEDS]
    chance = sorted(share(lambda seed: shuffled(values, seed), seed) for seed in range(ORDERS))
    front = on_front(np.array(list(values.values())))
    document = {
        "command": "python benchmarks/run_out.py",
        "machine": machine.described(),
        "recipes": len(values),
        "on the front": int(front.sum()),
        "trainings of the grid": every,
        "epochs of each": EPOCHS,
        "seconds of the grid": round(seconds),
        "trainings allowed": budget,
        "share of the hypervolume": {
            "guided, seeds 0 to 2": ours,
            f"at random, {ORDERS} orders": {
                "mean": round(float(np.mean(chance)), 4),
                "quartiles": [chance[ORDERS // 4], chance[-ORDERS // 4]],
                "as good as the least of guided": sum(one >= min(ours) for one in chance),
            },
        },
        "measured": [
            {"recipe": ", ".join(map(str, space.recipe(point).steps)), "values": list(value)}
            for point, value in values.items()
        ],
    }
    given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in document.items() if k != "measured"}, indent=1))


def grid(work: Path, demo: Path, space: Space) -> tuple[Values, tuple[float, float], float]:
    """Return scores and logarithms of bytes turned around of all recipes, and the worst of both."""
    (work / "space.toml").write_text(SPACE, encoding="utf-8")
    argv = ["edgeshrink", "search", str(demo / "digits.keras"), "--data", str(demo / "digits.npz")]
    argv += ["--preprocess", "scale=1/16", "--space", str(work / "space.toml"), "--goals", "bytes"]
    argv += ["--sampler", "grid", "--rules", "smoke", "--max-drop", "none", "--json"]
    argv += ["-o", str(work / "found.esz")]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    values = {
        space.point(one["steps"]): (one["score"]["value"], -np.log(one["values"]["bytes"]))
        for one in found["trials"]
        if one["outcome"] == "measured"
    }
    assert len(values) == space.size
    reference = (CHANCE, -np.log(found["before"]["bytes"]))
    return values, reference, sum(one["seconds"] for one in found["trials"])


def trained(points: list[Point] | Values) -> list[int]:
    """Return for each recipe how many of its trainings no earlier one had."""
    known: set[Point] = set()
    counts = []
    for point in points:
        own = {point[: k + 1] for k in range(3) if point[k]}
        counts.append(len(own - known))
        known |= own
    return counts


def guided(
    space: Space, values: Values, reference: tuple[float, float], seed: int
) -> Iterator[Point]:
    """Yield recipes as `--sampler guided` chooses them, by what was measured of those before."""
    chooser, seen = Chooser(space, reference, seed), Values()

    def cost(point: Point) -> tuple[float]:
        return (trained([*seen, point])[-1] + OTHER,)

    while (point := chooser.next(seen, list(seen), cost)) is not None:
        seen[point] = values[point]
        yield point


def shuffled(values: Values, seed: int) -> Iterator[Point]:
    """Yield recipes in an order of chance."""
    points = list(values)
    yield from (points[place] for place in np.random.default_rng(seed).permutation(len(points)))


if __name__ == "__main__":
    main()
