from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgeshrink.plugins import HEAVY

PROGRAM = """
import sys
from edgeshrink.cli import run
code = run(sys.argv[1:])
sys.stdout.flush()
print("\\nLOADED", code, *sys.modules)
"""
ROOT_MAY_NOT = ("rich", "pluggy", "pydantic", "edgeshrink.api", "edgeshrink.plugins")


def run(*argv: str) -> tuple[int, str, set[str]]:
    """Return the exit code, standard error and the loaded modules of a command line."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv], capture_output=True, text=True, check=True
    )
    _, _, last = done.stdout.rpartition("LOADED ")
    code, *modules = last.split()
    return int(code), done.stderr, set(modules)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--help"], 0),
        (["compress", "--help"], 0),
        (["methods"], 0),
        (["devices"], 0),
        (["compress", "missing.keras", "--prune", "0.5"], 2),
        (["compress", "missing.keras", "--prun", "0.5"], 2),
        (["bench", "missing.tflite"], 2),
        (["inspect", "missing.keras"], 2),
    ],
)
def test_no_heavy_module_is_imported(argv: list[str], code: int) -> None:
    found, _, modules = run(*argv)
    assert found == code
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize("argv", [["--help"], [], ["--version"]])
def test_the_root_imports_neither_commands_nor_plugins(argv: list[str]) -> None:
    code, _, modules = run(*argv)
    assert code == 0
    assert modules.isdisjoint(ROOT_MAY_NOT)
    commands = {m for m in modules if m.startswith("edgeshrink.cli.")}
    assert commands == {f"edgeshrink.cli.{name}" for name in ("app", "plain_commands", "table")}


@pytest.mark.parametrize(
    "flags",
    [
        ["--prune", "1.5"],
        ["--prune", "nan"],
        ["--device", "raspberypi"],
        ["--int8", "--fp16"],
        ["--recipe", "missing.toml"],
        ["--metric", "nothing", "--float"],
        ["--int8", "--max-bytes", "small"],
        ["--prune", "0.5", "-o", "small.keras", "--max-ms", "5"],
    ],
)
def test_mistakes_are_told_before_tensorflow_is_loaded(flags: list[str], model: Path) -> None:
    code, said, modules = run("compress", str(model), *flags)
    assert code == 2
    assert said.startswith("error: ")
    assert modules.isdisjoint({"tensorflow", "keras"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras archive whose configuration is whole; nothing here opens its weights."""
    import json
    import zipfile

    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "x"},
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "dense", "units": 2, "activation": "softmax"},
            "build_config": {"input_shape": [None, 4]},
        },
    ]
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "tiny", "layers": layers, "build_input_shape": [None, 4]},
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.10.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    return path
