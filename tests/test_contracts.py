"""Who may import whom, what the public surface is, and that docstrings' examples are true."""

from __future__ import annotations

import doctest
import graphlib
import importlib
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from paths import DATA, ROOT

from edgeshrink.testing import check_faces

SOURCE = ROOT / "src" / "edgeshrink"
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
# a package that names what others may take from it
FACES = sorted(
    ".".join(("edgeshrink", *stub.parent.relative_to(SOURCE).parts))
    for stub in SOURCE.rglob("__init__.pyi")
)
PUBLIC = ("api", "tflite", "nn")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports: inside functions, and for types alone, too."""
    return grimp.build_graph("edgeshrink", *PLUGINS, include_external_packages=True, cache_dir=None)


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "0 broken" in done.stdout


def test_no_import_goes_in_circles(graph: grimp.ImportGraph) -> None:
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()


def test_a_wing_is_imported_by_its_face(graph: grimp.ImportGraph) -> None:
    assert len(FACES) > 10
    around = []
    for imported in graph.modules:
        face = next((f for f in reversed(FACES) if f"{imported}.".startswith(f"{f}.")), None)
        if face in (None, imported):
            continue
        for importer in graph.find_modules_that_directly_import(imported):
            if not importer.startswith(f"{face}."):
                around.append(f"{importer} imports {imported}, not {face}")
    assert not around


def test_nothing_imports_the_face_that_it_stands_behind(graph: grimp.ImportGraph) -> None:
    behind = [
        f"{importer} imports {face}"
        for face in FACES
        for importer in graph.find_modules_that_directly_import(face)
        if importer.startswith(f"{face}.")
    ]
    assert not behind


@pytest.mark.parametrize("face", [*FACES, "edgeshrink.api"])
def test_a_face_has_what_it_names(face: str) -> None:
    package = importlib.import_module(face)
    assert [name for name in package.__all__ if getattr(package, name, None) is None] == []


@pytest.mark.parametrize("face", PUBLIC)
def test_the_public_surface_is_what_was_agreed(face: str) -> None:
    agreed = (DATA / "faces" / f"{face}.txt").read_text().split()
    assert sorted(importlib.import_module(f"edgeshrink.{face}").__all__) == agreed


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_import_the_three_faces_alone(plugin: str) -> None:
    check_faces(plugin)


@pytest.mark.parametrize(
    ("roots", "may_not", "but"),
    [
        (["edgeshrink"], PLUGINS, "nothing"),
        (PLUGINS, PLUGINS, "its own"),
        (["edgeshrink", *PLUGINS], ["typer", "rich", "click"], "edgeshrink.cli"),
        *(
            ([f"edgeshrink.{wing}"], ["keras", "tensorflow"], "nothing")
            for wing in ("tflite", "devices", "models", "results", "selftest")
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_nothing_imports_what_is_not_for_it(
    graph: grimp.ImportGraph, roots: list[str], may_not: list[str], but: str
) -> None:
    """Each import is looked at by itself: a chain ends at a face, which names what it hands on."""
    inside = [m for m in graph.modules if any(f"{m}.".startswith(f"{root}.") for root in roots)]
    assert len(inside) > 1
    assert [
        f"{importer} imports {imported}"
        for importer in inside
        if not f"{importer}.".startswith(f"{but}.")
        for imported in graph.find_modules_directly_imported_by(importer)
        if (root := imported.partition(".")[0]) in may_not and root != importer.partition(".")[0]
    ] == []


def test_every_plugin_has_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(project["entry-points"]["edgeshrink"].values()) == PLUGINS
    folders = {path.name for path in (ROOT / "plugins").iterdir() if path.name != "__pycache__"}
    assert sorted(folders) == PLUGINS


def test_no_room_is_crowded() -> None:
    """The runner is exempt: it is shipped to devices as one zip of small modules."""
    modules = [
        path
        for folder in (SOURCE, ROOT / "plugins")
        for path in folder.rglob("*.py")
        if path.parent.name != "runner"
    ]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert [path for path, count in lines.items() if count > 400] == []
    assert statistics.median(lines.values()) <= 116
    folders = [path.parent for path in modules]
    assert [folder for folder in set(folders) if folders.count(folder) > 20] == []
    no_rooms = ("__pycache__", "py.typed", "__init__.py")
    rooms = [one for one in SOURCE.iterdir() if one.name not in no_rooms]
    assert len(rooms) <= 20


@pytest.mark.parametrize(
    "name",
    [
        "edgeshrink.words",
        "edgeshrink.errors",
        "edgeshrink.devices.statistics",
        "edgeshrink.texts.safe",
        "edgeshrink.nn.conversion.converter_process",
        "edgeshrink.samples.preprocess",
        "edgeshrink_cluster.kmeans",
        "edgeshrink_litert.failures",
        "edgeshrink_lowrank.budget",
        "edgeshrink_lowrank.kinds",
        "edgeshrink_openvino.backend",
        "edgeshrink_prune.masks",
        "edgeshrink_prune.pattern",
    ],
)
def test_examples_in_docstrings_are_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
