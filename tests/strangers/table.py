"""Write docs/reference/what-works.md: each kind of model through each recipe, cell by cell.

python tests/strangers/table.py [--work FOLDER] [--only KIND,...] [--recipes 'NAME;...'] [--page]

Each cell is written to FOLDER/cells.jsonl as it ends, and not made again while it is there; remove
the file after a change. `--page` writes the page from what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(name, "1")

import cells  # noqa: E402
import kinds  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "what-works.md"
MARKS = {cells.RIGHT: "✓", cells.WORSE: "↓", cells.REFUSED: "–", cells.FAULT: "✗"}
HEAD = """<!-- Written by tests/strangers/table.py; do not edit. -->

# What works with what

Small models of the kinds that people have, each through each method alone and through the usual
chains: half of a second of training, one epoch where a method trains, on data made for it. What
came out was run on 64 test samples and compared with the model that went in.

| mark | |
| --- | --- |
| ✓ | answers as its base does on 90 % of the samples, or explains 90 % of its variance |
| ↓ | is worse or answers otherwise, and says so first or ends in exit code 4 |
| – | refused in words, given below by number |
| ✗ | a fault of this program |
| · | not tried yet |

`python tests/strangers/table.py` makes this page; {versions}.
"""


def main() -> None:
    """Try what is not there yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("strangers-work"))
    parser.add_argument("--only", default="", help="kinds, with commas")
    parser.add_argument("--recipes", default="", help="recipes, with semicolons")
    parser.add_argument("--page", action="store_true", help="write the page, and try nothing")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found = read(given.work / "cells.jsonl")
    names = given.only.split(",") if given.only else list(kinds.KINDS)
    recipes = given.recipes.split(";") if given.recipes else list(cells.recipes())
    todo = [(n, r) for n in names for r in recipes if (n, r) not in found]
    for name, recipe in [] if given.page else todo:
        cell = cells.tried(name, recipe, given.work)
        found[name, recipe] = cell
        with (given.work / "cells.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(cells.as_dict(cell)) + "\n")
        print(f"{name} | {recipe} | {cell.mark} | {cell.seconds:.1f} s | {cell.said}", flush=True)
    PAGE.write_text(page(found), encoding="utf-8")


def read(path: Path) -> dict[tuple[str, str], cells.Cell]:
    """Return the cells that were made, the last of each."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    made = [cells.Cell(**json.loads(line)) for line in lines]
    return {(cell.kind, cell.recipe): cell for cell in made}


def page(found: dict[tuple[str, str], cells.Cell]) -> str:
    """Return the page: recipes down, kinds across by number, refusals below."""
    parts = ("edgeshrink", "tensorflow", "keras", "ai-edge-litert", "numpy")
    versions = ", ".join(f"{part} {version(part)}" for part in parts)
    versions += f", Python {platform.python_version()}"
    names = list(kinds.KINDS)
    said: dict[str, int] = {}
    rows = []
    for recipe in cells.recipes():
        row = [_shown(found.get((name, recipe)), said) for name in names]
        rows.append(f"| {recipe} | {' | '.join(row)} |")
    lines = [
        HEAD.format(versions=versions),
        "## Kinds\n",
        *(f"{place}. {kinds.KINDS[name].words}" for place, name in enumerate(names, 1)),
        "\n## Recipes\n",
        f"| recipe | {' | '.join(str(place) for place in range(1, len(names) + 1))} |",
        f"| --- |{' --- |' * len(names)}",
        *rows,
    ]
    if said:
        lines += ["\n## What was said\n", *(f"{place}. {text}" for text, place in said.items())]
    return "\n".join(lines) + "\n"


def _shown(cell: cells.Cell | None, said: dict[str, int]) -> str:
    if cell is None:
        return "·"
    mark = MARKS[cell.mark]
    if cell.mark not in (cells.REFUSED, cells.FAULT):
        return mark
    text = cell.said.partition("; the last good model is ")[0].partition("; hint: ")[0]
    text = " ".join(text.split()).replace("|", "\\|")[:300]
    return f"{mark} {said.setdefault(text, len(said) + 1)}"


if __name__ == "__main__":
    main()
