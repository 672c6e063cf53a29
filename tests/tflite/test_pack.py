import contextlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_models import converted
from typer.testing import CliRunner

from edgeshrink.cli.app import app
from edgeshrink.engine.measuring.rewriting import Rewriting, plain
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.kind import identify
from edgeshrink.plugins import installed
from edgeshrink.recipes.recipe import Recipe
from edgeshrink.testing import running, tiny_model
from edgeshrink.tflite.esz import unpack
from edgeshrink.tflite.packed import tflite_bytes
from edgeshrink.tflite.packing.encode import pack
from edgeshrink_litert.pack import PACKAGE, packed
from edgeshrink_pack import Pack


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    source = converted() / "int8.tflite"
    (folder / "small.tflite").write_bytes(source.read_bytes())
    made = run("pack", folder / "small.tflite", "-o", folder / "small.esz", "--json")
    assert made.exit_code == 0, made.output
    return folder, json.loads(made.output)


def test_pack_and_unpack_give_back_the_same_bytes(files, tmp_path):
    folder, told = files
    assert told["coding"] == "modelled"
    size = (folder / "small.esz").stat().st_size
    assert size < min(told["zlib_bytes"], told["xz_bytes"])
    made = run("unpack", folder / "small.esz", "-o", tmp_path / "again.tflite")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "again.tflite").read_bytes() == (folder / "small.tflite").read_bytes()


@pytest.mark.heavy
def test_a_file_that_no_builder_could_have_laid_out_is_packed_all_the_same(files):
    folder, _ = files
    data = (folder / "small.tflite").read_bytes()
    for place in range(len(data) - 64, len(data), 2):  # tables of the objects that were made first
        damaged = data[:place] + b"\0" + data[place + 1 :]
        with contextlib.suppress(ModelError):  # where it is no .tflite any more
            assert unpack(pack(damaged).data) == damaged


def test_the_step_tells_of_zlib_and_xz(tmp_path):
    file, model = (converted() / "float.tflite").read_bytes(), tiny_model()
    lent = running.context(Pack.of({}), model, model, None, tmp_path)
    made = Pack.of({}).apply(file, lent)
    (said,) = lent.notes
    assert said.startswith(f"packed into {len(made):,} bytes, where zlib -9 takes ")
    assert said.endswith("; unpacked it is the same to the last bit")


def test_a_packed_file_is_known_by_its_content(files):
    folder, _ = files
    assert identify(folder / "small.esz") is Kind.PACKED
    assert tflite_bytes(folder / "small.esz") == (folder / "small.tflite").read_bytes()


def test_inspect_tells_of_a_packed_file(files):
    folder, _ = files
    seen = [
        json.loads(run("inspect", folder / n, "--json").output)
        for n in ("small.esz", "small.tflite")
    ]
    assert seen[0]["kind"] == "packed"
    assert seen[0]["operators"] == seen[1]["operators"]
    assert seen[0]["size_bytes"] == (folder / "small.esz").stat().st_size


def test_inspect_tells_versions_and_promises_no_runtime(files):
    folder, _ = files
    version = json.loads(run("inspect", folder / "small.tflite", "--json").output)[
        "runtime_version"
    ]
    said = " ".join(run("inspect", folder / "small.tflite").output.split())
    assert "operator version" in said
    assert "or newer" not in said
    claim = f"the file's own note says that TensorFlow Lite {version} runs it, and can be too low"
    assert (claim in said) == bool(version)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "small.esz"], "takes a .tflite file"),
        (["unpack", "small.tflite"], "takes an .esz file"),
        (["pack", "small.tflite"], "exists"),
        (["pack", "small.tflite", "-o", "x.zip"], "must end in .esz"),
        (["unpack", "cut.esz", "-o", "cut.tflite"], "packed file is damaged"),
    ],
)
def test_mistakes_are_told(files, monkeypatch, words, said):
    folder, _ = files
    monkeypatch.chdir(folder)
    Path("cut.esz").write_bytes(Path("small.esz").read_bytes()[:-9])
    made = run(*words)
    assert made.exit_code != 0
    assert said in str(made.exception)
    assert isinstance(made.exception, ModelError | UsageError)
    assert not Path("cut.tflite").exists()


def test_a_recipe_that_packs_gets_a_precision_and_is_stripped_first():
    methods = installed().methods
    recipe = Recipe.from_steps(["pack"], methods).completed(methods, Kind.PACKED)
    names = [step.name for step in recipe.steps]
    assert names[-2:] == ["strip", "pack"]
    assert len(names) == 3
    assert Pack.keeps >= {"outputs", "sparsity", "clusters", "quantization"}


class Recorder:
    def __init__(self):
        self.seen = []

    def predict(self, model, inputs, progress=None):
        self.seen.append((model.suffix, model.read_bytes()))
        return {}


def test_runtimes_that_cannot_unpack_get_the_file_unpacked(files):
    folder, _ = files
    recorder = Recorder()
    with Rewriting(recorder, plain) as session:
        session.predict(folder / "small.esz", {})
        session.predict(folder / "small.tflite", {})
    whole = (folder / "small.tflite").read_bytes()
    assert recorder.seen == [(".tflite", whole), (".tflite", whole)]


def test_the_runner_carries_what_unpacks_and_needs_nothing_else(files, tmp_path):
    folder, _ = files
    archive = tmp_path / "runner.pyz"
    archive.write_bytes(packed())
    names = zipfile.ZipFile(archive).namelist()
    assert f"{PACKAGE}/esz/whole.py" in names
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        f"from {PACKAGE} import esz\n"
        f"data = esz.unpack(open({str(folder / 'small.esz')!r}, 'rb').read())\n"
        "assert not {n.partition('.')[0] for n in sys.modules} & {'edgeshrink', 'keras'}\n"
        f"open({str(tmp_path / 'out')!r}, 'wb').write(data)\n"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__import__("numpy").__file__).parents[1])},
    )
    assert (tmp_path / "out").read_bytes() == (folder / "small.tflite").read_bytes()


def test_bench_runs_a_packed_file(files, tmp_path):
    folder, _ = files
    made = run("bench", folder / "small.esz", folder / "small.tflite", "--rules", "smoke", "--json")
    assert made.exit_code == 0, made.output
    results = json.loads(made.stdout)["results"]
    assert [r["failure"] for r in results] == [None, None]
    assert results[0]["size_bytes"] == (folder / "small.esz").stat().st_size
    assert results[0]["size_bytes"] < results[1]["size_bytes"]
