"""Optional parts: what is imported or started and not always there is told to `doctor`."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

from edgeshrink.cli.commands.doctor import needed_packages
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.part import Package, Program, need, pip_install
from edgeshrink.plugins import Plugins, installed

# What runs on devices asks them, not this machine, for what it uses.
ON_DEVICES = ("plugins/edgeshrink_litert/runner/", "plugins/edgeshrink_tflm/runner.py")
# What runs in the environments of chips' toolchains asks those.
ELSEWHERE = "plugins/edgeshrink_toolchains/backends/"
# What every system that runs Python has.
BASIC = {"cp", "sh", "/bin/sh"}
# What comes with a program that is told.
BESIDE = {"apt-config": "apt-get"}
# Where the name of a program is no word in the code: Python itself, what a caller names, and the
# paths and options that come from a declared part.
FROM_ELSEWHERE = {
    *("sys.executable", "argv", "path", "program", "chosen.ssh"),
    *("self.program", "self._client.program"),
}
IMPORTS = {"pillow": "PIL"}


def test_every_optional_import_is_told() -> None:
    parts = {part.name for part in installed().parts}
    told = {IMPORTS.get(name, name.replace("-", "_")).lower() for name in parts}
    needed = {name.replace("-", "_").lower() for name in needed_packages()}
    packages = {part.name for part in installed().parts if isinstance(part, Package)}
    brought = {_normal(name) for name in _closure([*needed_packages(), *packages])}
    homes = importlib.metadata.packages_distributions()
    untold = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in _modules()
        for name in _imported(tree)
        if not str(path.relative_to(ROOT)).startswith(ELSEWHERE)
        if name.lower() not in told | needed
        and not brought & {_normal(home) for home in homes.get(name, ())}
    }
    assert untold == set()


def test_every_program_that_is_started_is_told() -> None:
    told = {part.name for part in installed().parts} | BASIC | BESIDE.keys()
    untold = {
        f"{path.relative_to(ROOT)}: {head}"
        for path, tree in _modules()
        if not str(path.relative_to(ROOT)).startswith(ON_DEVICES)
        for head in _started(tree)
        if head not in told | FROM_ELSEWHERE and not re.fullmatch(r"[A-Z]+\.(name|path)", head)
    }
    assert untold == set()


def test_the_search_finds_what_is_not_told() -> None:
    code = """
def lazy():
    import rare_thing.inner
    subprocess.run(["rare-program", "-x"])
    argv = ("other-program", 1)
    subprocess.Popen(argv)
    shutil.which("third-program")
"""
    tree = ast.parse(code)
    assert list(_imported(tree)) == ["rare_thing"]
    assert set(_started(tree)) == {"rare-program", "other-program", "third-program"}


def test_what_a_method_requires_is_told_without_being_declared() -> None:
    class Entry:
        name, dist = "made", None

        def load(self) -> object:
            from edgeshrink.api import Method, Phase, hookimpl

            class Rare(Method):
                name, title, phase, requires = "rare", "Rare", Phase.PRUNE, ("rare-thing",)

                def apply(self, model: object, context: object) -> object:
                    return model

            class Plugin:
                @hookimpl
                def edgeshrink_methods(self) -> list[type[Method]]:
                    return [Rare]

                @hookimpl
                def edgeshrink_parts(self) -> list[object]:
                    return ["a name alone"]

            return Plugin()

    plugins = Plugins([Entry()])  # type: ignore[list-item]
    assert Package("rare-thing", "--rare") in plugins.parts
    assert plugins.warnings == ["part of plugin 'made' was left out: 'a name alone' is no Part"]


def test_a_program_is_found_where_a_variable_points_and_says_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = Program("thing", "trying", "make it", folders=("$THING_HOME/bin",))
    assert (thing.path(), thing.version()) == ("", "")
    with pytest.raises(EdgeshrinkError, match="thing must be installed") as caught:
        need(thing)
    assert caught.value.hint == "make it"
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "thing"
    file.write_text("#!/bin/sh\necho thing of many, version 3.2.1-beta\n")
    file.chmod(0o755)
    monkeypatch.setenv("THING_HOME", str(tmp_path))
    need(thing)
    assert (thing.path(), thing.version()) == (str(file), "3.2.1")
    file.write_text("not a program")
    assert thing.version() in ("does not start", "installed")  # as the system takes it


def test_pip_is_given_the_smallest_extra_that_has_all() -> None:
    assert pip_install(["tf-keras"]) == 'pip install "edgeshrink[tfmot]"'
    assert pip_install(["matplotlib"]) == 'pip install "edgeshrink[study]"'
    assert pip_install(["no-such-thing", "tf-keras"]) == "pip install no-such-thing tf-keras"


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("src", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the packages that a module imports anywhere, but Python's own and ours."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            root = name.partition(".")[0]
            if root not in sys.stdlib_module_names and not root.startswith("edgeshrink"):
                yield root


def _started(tree: ast.Module) -> Iterator[str]:
    """Yield the programs that a module starts or looks for: a word, or where it comes from."""
    written: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    written.setdefault(target.id, set()).update(_heads(node.value))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        called = ast.unparse(node.func)
        if called in ("subprocess.run", "subprocess.Popen", "start_client"):
            for head in _heads(node.args[0]):
                yield from written.get(head, {head})
        elif called == "shutil.which" and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def _heads(argv: ast.expr) -> set[str]:
    """Return what stands first in a list of words."""
    while isinstance(argv, ast.List | ast.Tuple | ast.Starred) and getattr(argv, "elts", [argv]):
        argv = argv.value if isinstance(argv, ast.Starred) else argv.elts[0]
    return {argv.value if isinstance(argv, ast.Constant) else ast.unparse(argv)}


def _normal(name: str) -> str:
    return name.replace("_", "-").lower()


def _closure(names: list[str]) -> set[str]:
    """Return distributions with all that they bring along."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = _normal(left.pop())
        if name in found:
            continue
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        left += [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
    return found
