"""How much of a space's hypervolume samplers reach in few trials, on a space that is made up.

    python benchmarks/choosing.py [--trials 60] [--out FILE]

The space is one for a packed file: low rank, shrinking, pruning, clustering, rounding. The score
falls with every step and with two together, and bytes fall too: what is measured is the choosing,
and nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import machine
import numpy as np
import optuna

from edgeshrink.engine.searching.choosing import Chooser
from edgeshrink.engine.searching.front import hypervolume, on_front
from edgeshrink.plugins import installed
from edgeshrink.recipes import Point, Space

RESULTS = Path(__file__).parent / "results" / "choosing.json"
SEEDS = (0, 1, 2)
SPACE = """
[[step]]
method = "lowrank"
optional = true
ratio = [0.25, 0.5]

[[step]]
method = "shrink"
optional = true
ratio = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]
target = "macs"

[[step]]
method = "prune"
optional = true
sparsity = [0.5, 0.7, 0.8, 0.9, 0.95]

[[step]]
method = "cluster"
optional = true
clusters = [64, 32, 16, 8]

[[step]]
method = "int8"
rounding = ["nearest", "adaptive"]

[[step]]
method = "pack"
"""
REFERENCE = (0.85, -np.log(1.2e5))
PRUNED, SHARED = (1, 0.6, 0.45, 0.35, 0.22, 0.13), (1, 0.6, 0.5, 0.4, 0.3)
OURS, RANDOM = "guided", "random"
OPTUNA = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    space = Space.from_toml(SPACE, installed().methods)
    every = np.array([worth(point) for point in space.points()])
    whole = hypervolume(every, REFERENCE)
    found = {
        name: [
            round(hypervolume(np.array([worth(p) for p in points]), REFERENCE) / whole, 4)
            for points in (tried(name, space, given.trials, seed) for seed in SEEDS)
        ]
        for name in (OURS, RANDOM, *OPTUNA)
    }
    document = {
        "command": f"python benchmarks/choosing.py --trials {given.trials}",
        "machine": machine.described(),
        "recipes": space.size,
        "on the front": int(on_front(every).sum()),
        "share of the hypervolume by seed": found,
    }
    given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def worth(point: Point) -> tuple[float, float]:
    """Return a made-up score, and the logarithm of bytes, less being better, turned around."""
    rank, shrink, prune, cluster, rounding, _ = point
    kept = (1 - 0.25 * rank) * (1 - 0.125 * shrink) * PRUNED[prune] * SHARED[cluster]
    lost = 0.004 * rank**2 + 0.0015 * shrink**2.2 + 0.002 * (prune**2 + cluster**2)
    lost += 0.001 * (rank * shrink + prune * cluster - rounding)
    return 0.9 - lost, -np.log(1e5 * kept)


def tried(name: str, space: Space, count: int, seed: int) -> list[Point]:
    """Return the points that a sampler tries."""
    points = list(space.points())
    if name == RANDOM:
        order = np.random.default_rng(seed).permutation(len(points))[:count]
        return [points[place] for place in order]
    if name == OURS:
        chooser, seen = Chooser(space, REFERENCE, seed), dict[Point, tuple[float, float]]()
        for _ in range(count):
            point = chooser.next(seen, list(seen), lambda point: (1.0,))
            assert point is not None
            seen[point] = worth(point)
        return list(seen)
    made: list[Point] = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        point = tuple(
            trial.suggest_categorical(place.name, list(range(len(place.steps))))
            for place in space.places
        )
        made.append(point)
        return worth(point)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(directions=["maximize"] * 2, sampler=OPTUNA[name](seed))
        study.optimize(objective, n_trials=count)
    return made


if __name__ == "__main__":
    main()
