from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from edgeshrink import hookspecs
from edgeshrink.cli.table import COMMANDS

DOCS = ROOT / "docs"


def test_the_reference_is_what_the_program_says() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_table_of_what_makes_what_faster_is_what_was_measured() -> None:
    """Made by: python benchmarks/truth_table.py SHARED --page."""
    code = (
        "import json, pathlib, truth_page\n"
        "known = json.loads(pathlib.Path('results/truth_table.json').read_text())\n"
        "print(truth_page.page(known), end='')"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True)
    page = DOCS / "explanation" / "what-makes-what-faster.md"
    assert done.stdout == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_page(command: str) -> None:
    page = (DOCS / "reference" / "commands" / f"{command}.md").read_text(encoding="utf-8")
    assert f"# edgeshrink {command}\n" in page
    assert f"[`edgeshrink {command}`]({command}.md)" in (
        DOCS / "reference" / "commands" / "README.md"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", [n for n in vars(hookspecs) if n.startswith("edgeshrink_")])
def test_every_hook_is_in_the_reference(hook: str) -> None:
    assert f"### {hook}\n" in (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted(DOCS.glob("explanation/*.md")), ids=lambda p: p.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`([\w-]+(?:/[\w.-]+)+)`", page.read_text(encoding="utf-8"))
    places = (ROOT, ROOT / "src" / "edgeshrink", ROOT / "plugins")
    assert [path for path in named if not any((place / path).exists() for place in places)] == []
