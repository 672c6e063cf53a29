"""The loop: mutate a seed, read it in a child, and keep what failed with the way to repeat it."""

from __future__ import annotations

import argparse
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fuzz import case
from fuzz.formats import FORMATS

# Imported once, before any child is forked; nothing is computed with them here.
WARM = (
    *("numpy", "tensorflow", "keras", "PIL.Image", "rich.table", "rich.console", "scipy.special"),
    *("edgeshrink.cli.app", "edgeshrink.engine.studies.study_run", "edgeshrink.engine.compressing"),
    *(
        "edgeshrink.cli.display.runs",
        "edgeshrink.cli.display.inspection",
        "edgeshrink_reports.plot",
    ),
    *(
        "edgeshrink.nn.loading.load",
        "edgeshrink.nn.graph.counts",
        "edgeshrink.tflite.packing.encode",
    ),
    *("edgeshrink_reports.html", "edgeshrink_litert.measured", "edgeshrink.samples.dataset"),
)
SHORT_SECONDS = 60.0  # a shorter run reads one seed of a format before it begins
SOME = 12  # failures of one kind that are kept


class Fuzz:
    """A run over seeds.

    Args:
        folder: where everything is written.
        seed: of the mutations; case `n` of a format is the same in every run with this seed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.seeds, self.work, self.kept = folder / "seeds", folder / "work", folder / "failures"
        self.idle: dict[str, int] = {}
        self.count, self.seconds = Counter[str](), Counter[str]()
        self.codes: dict[str, Counter[int]] = {name: Counter() for name in FORMATS}
        self.faults = Counter[tuple[str, str]]()

    def begin(self, names: list[str], most: int | None = None) -> None:
        """Read seeds as they are: each must be taken, and tells what an idle reader needs.

        Args:
            names: of the formats.
            most: seeds of each that are read; None for all.
        """
        for name in names:
            for seed in self._seeds(name)[:most]:
                place = self._copy(name, seed)
                ended = self._read(name, place)
                if ended.code or ended.fault(ended.peak_bytes, 0):
                    sys.exit(f"{name}: the seed {seed.name} is refused\n{ended.text}")
                self.idle[name] = max(self.idle.get(name, 0), ended.peak_bytes)

    def one(self, name: str, number: int, *, show: bool = False) -> None:
        """Do one case."""
        rng = random.Random(f"{self.seed}/{name}/{number}")
        place = self._copy(name, rng.choice(self._seeds(name)))
        FORMATS[name].mutate(rng, place)
        allowed = case.declared(place)
        given = self.work / "given"
        shutil.copytree(place.parent, given)
        stop = self.idle[name] + case.MOST_MEMORY + case.TIMES_DECLARED * allowed + (256 << 20)
        ended = self._read(name, place, stop)
        self.count[name] += 1
        self.seconds[name] += ended.seconds
        self.codes[name][ended.code] += 1
        fault = ended.fault(self.idle[name], allowed)
        if show:
            print(ended.text)
        if fault:
            self._keep(name, number, fault, ended, given)

    def _keep(self, name: str, number: int, fault: str, ended: case.Ended, given: Path) -> None:
        kind = re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "#", fault)
        self.faults[name, kind] += 1
        if self.faults[name, kind] > SOME:
            return
        place = self.kept / f"{name}-{number}"
        shutil.copytree(given, place, dirs_exist_ok=True)
        again = f"python -m fuzz --seed {self.seed} --only {name} --case {number}"
        (place / "told.txt").write_text(f"{fault}\n{again}\n\n{ended.text}")
        if self.faults[name, kind] == 1:
            print(f"FAILED {name} {number}: {fault}\n  {place}\n  {again}", flush=True)

    def _seeds(self, name: str) -> list[Path]:
        return sorted((self.seeds / name).iterdir())

    def _copy(self, name: str, seed: Path) -> Path:
        shutil.rmtree(self.work, ignore_errors=True)
        place = self.work / "input" / seed.name
        place.parent.mkdir(parents=True)
        (shutil.copytree if seed.is_dir() else shutil.copy)(seed, place)
        return place

    def _read(self, name: str, place: Path, stop: int = 0) -> case.Ended:
        told = self.work / "told.txt"
        return case.run(lambda: FORMATS[name].read(place, self.seeds), told, stop_bytes=stop)

    def summary(self) -> str:
        """Return a line for each format: cases, their rate, and how they ended."""
        lines = []
        for name, count in self.count.items():
            codes = ", ".join(f"{code}: {n}" for code, n in sorted(self.codes[name].items()))
            rate = 60 * count / max(self.seconds[name], 1e-9)
            lines.append(f"{name:12} {count:7,} cases  {rate:7,.0f} a minute  exit codes {codes}")
        return "\n".join(lines)


def warm() -> None:
    """Import what readers need, load the plugins, and build every command once."""
    for name in WARM:
        importlib.import_module(name)
    from edgeshrink.cli.app import COMMANDS
    from edgeshrink.plugins import installed

    plugins = installed()
    _ = plugins.methods, plugins.reporters, plugins.profile_folders
    for name in COMMANDS:
        importlib.import_module(f"edgeshrink.cli.commands.{name}")


def main() -> None:
    """Fuzz for a time, and exit with 1 if anything failed."""
    asked = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    asked.add_argument("--seconds", type=float, default=1200)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--only", default=",".join(FORMATS), help="formats, by comma")
    asked.add_argument("--case", type=int, help="repeat this case alone")
    asked.add_argument("--seeds", type=Path, help="a folder of seeds that an earlier run made")
    given = asked.parse_args()
    names = given.only.split(",")
    folder = Path(tempfile.mkdtemp(prefix="edgeshrink-fuzz-"))
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "NO_COLOR": "1"}
    os.environ |= {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    os.environ.pop("XDG_CONFIG_HOME", None)
    fuzz = Fuzz(folder, given.seed)
    if given.seeds:
        shutil.copytree(given.seeds, fuzz.seeds)
        warm()
    else:
        making = [sys.executable, "-m", "fuzz.seeds", str(fuzz.seeds)]
        with subprocess.Popen(making, stderr=subprocess.PIPE, text=True) as made:
            warm()
            told = made.communicate()[1]
        if made.returncode:
            sys.exit(f"the seeds cannot be made\n{told[-4000:]}")
    print(f"seed {given.seed}, {folder}", flush=True)
    fuzz.begin(names, 1 if given.case is None and given.seconds < SHORT_SECONDS else None)
    until = time.monotonic() + given.seconds
    number = 0
    while given.case is None and time.monotonic() < until:
        for name in names:
            fuzz.one(name, number)
        number += 1
    if given.case is not None:
        fuzz.one(names[0], given.case, show=True)
    print(fuzz.summary())
    for (name, kind), count in fuzz.faults.items():
        print(f"{count:6,} times {name}: {kind}")
    shutil.rmtree(fuzz.work, ignore_errors=True)
    if not fuzz.faults:
        shutil.rmtree(folder)
    sys.exit(1 if fuzz.faults else 0)


if __name__ == "__main__":
    main()
