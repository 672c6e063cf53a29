"""A model as C: what a compiler says of it, and whether its test vector is the interpreter's."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from tiny_models import converted, flex, written
from typer.testing import CliRunner

from edgeshrink.cli.app import app
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.testing import tiny_model
from edgeshrink.tflite import read_model
from edgeshrink_tflm.c_export import CExport
from edgeshrink_tflm.literals import array, identifier, real, remark
from edgeshrink_tflm.resolver import CALLS

HOSTILE = '7" */ int x; #include <evil> ??/\n\\'


@pytest.fixture(scope="module")
def micro():
    return pytest.importorskip("tflite_micro", reason='needs pip install "edgeshrink[micro]"')


def renamed(model):
    """Return a model whose inputs have a hostile name."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    root = schema.ModelT.InitFromPackedBuf(model)
    for index in root.subgraphs[0].inputs:
        root.subgraphs[0].tensors[index].name = HOSTILE
    builder = flatbuffers.Builder(len(model))
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def exported(micro, tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    for name in ("int8", "pair"):
        model = (converted() / f"{name}.tflite").read_bytes()
        model = renamed(model) if name == "pair" else model
        for file, text in CExport().render(model, f"My {name}").items():
            (folder / file).write_text(text)
    return folder


# ---- names and numbers


@pytest.mark.parametrize(
    ("stem", "name"),
    [("Lenet-5 (v2)", "lenet_5_v2"), ("8bit", "m_8bit"), ("ünï", "n"), ("", "m"), ("../..", "m")],
)
def test_a_name_from_anywhere_becomes_one_for_c(stem, name):
    assert identifier(stem) == name
    assert CExport().names(stem) == (f"{name}_model.h", f"{name}_model.c")


def test_names_cannot_leave_a_comment_or_a_file_name():
    assert re.fullmatch(r"[A-Za-z0-9_.: -]*", remark(HOSTILE))
    assert re.fullmatch(r"[a-z][a-z0-9_]*", identifier(HOSTILE))
    assert len(identifier("x" * 1000)) < 60


def test_numbers_are_read_as_they_were():
    random = np.random.default_rng(0)
    values = np.float32(random.normal(size=200) * 10.0 ** random.integers(-30, 30, 200))
    read = [np.float32(real(float(v)).removesuffix("f")) for v in values]
    assert (np.array(read) == values).all()
    assert all(re.search(r"[.e]", real(float(v))) for v in (0, 1, -3, 1e20))
    with pytest.raises(ModelError, match="numbers that are not finite"):
        array(np.array([np.nan]), "float32")


# ---- the files


MAIN = """
#include "my_int8_model.h"
#include "my_pair_model.h"
int main(void) {
  int wrong = (uintptr_t)my_int8_model % 16 != 0 || (uintptr_t)my_pair_model % 16 != 0;
  wrong |= sizeof my_int8_model != MY_INT8_MODEL_BYTES;
  wrong |= sizeof my_int8_test_input_0 != MY_INT8_INPUT_0_ELEMENTS * sizeof(int8_t);
  wrong |= sizeof my_pair_test_output_0 / sizeof(float) != MY_PAIR_OUTPUT_0_ELEMENTS;
  wrong |= MY_PAIR_INPUTS != 2 || MY_INT8_INPUT_0_ZERO_POINT != -128;
  wrong |= !(MY_INT8_OUTPUT_0_SCALE > 0.0039f && MY_INT8_OUTPUT_0_SCALE < 0.0040f);
  const int shape[] = MY_INT8_INPUT_0_SHAPE;
  wrong |= sizeof shape / sizeof shape[0] != 4 || shape[1] != 8;
  return wrong;
}
"""
RESOLVER = """
struct Resolver {
  int added = 0;
  int AddConv2D() { return ++added, 0; }
  int AddDepthwiseConv2D() { return ++added, 0; }
  int AddReshape() { return ++added, 0; }
  int AddFullyConnected() { return ++added, 0; }
  int AddSoftmax() { return ++added, 0; }
};
int check() { Resolver r; return my_int8_add_operators(r) && r.added == MY_INT8_OPERATORS; }
"""
LANGUAGES = [("cc", "c99"), ("cc", "c11"), ("c++", "c++11"), ("c++", "c++17")]


@pytest.mark.parametrize(("compiler", "standard"), LANGUAGES)
def test_compilers_accept_it_without_a_warning(exported, tmp_path, compiler, standard):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    cpp = compiler == "c++"
    main = tmp_path / "main.c"
    main.write_text(MAIN + (RESOLVER if cpp else ""))
    argv = [compiler, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    argv += ["-x", "c++"] if cpp else []
    argv += ["-I", str(exported), str(main), *map(str, sorted(exported.glob("*.c")))]
    done = subprocess.run([*argv, "-o", str(tmp_path / "main")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert subprocess.run([str(tmp_path / "main")], check=False).returncode == 0


def numbers(text, name):
    (inside,) = re.findall(rf"{name}\[\w+\] = {{(.*?)}};", text, re.DOTALL)
    return [float(one.strip().removesuffix("f")) for one in inside.split(",") if one.strip()]


def test_model_and_vector_are_the_interpreters(exported, micro):
    data = (converted() / "int8.tflite").read_bytes()
    source = (exported / "my_int8_model.c").read_text()
    header = (exported / "my_int8_model.h").read_text()
    assert bytes(map(int, numbers(source, "my_int8_model"))) == data
    arena = int(re.search(r"MY_INT8_ARENA_BYTES (\d+)", header)[1])
    net = micro.runtime.Interpreter.from_bytes(data, arena_size=arena)
    sample = np.array(numbers(source, "my_int8_test_input_0"), np.int8).reshape(1, 8, 8, 1)
    net.set_input(sample, 0)
    net.invoke()
    assert net.get_output(0).ravel().tolist() == numbers(source, "my_int8_test_output_0")
    assert len(set(sample.ravel().tolist())) > 20


def test_every_operator_that_the_package_runs_has_its_call():
    used = {o.name for o in read_model((converted() / "int8.tflite").read_bytes()).operators}
    assert used <= set(CALLS)
    assert CALLS["TFLM_DECODE"] == "AddDecode"
    assert CALLS["CONV_2D"] == "AddConv2D"
    assert CALLS["ADD_N"] == "AddAddN"


def test_an_operator_without_a_call_is_refused():
    with pytest.raises(ModelError, match="no call that registers 'FlexErf'"):
        CExport().render(written(flex), "flex")


def test_a_model_that_does_not_run_is_refused(micro):
    from edgeshrink.errors import CommandFailed

    with pytest.raises(CommandFailed, match="inputs of FLOAT32 and weights of INT8"):
        CExport().render((converted() / "dynamic.tflite").read_bytes(), "dynamic")


# ---- the command


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_export_writes_beside_the_model_and_replaces_nothing(micro, tmp_path):
    model = tmp_path / "a b.tflite"
    model.write_bytes((converted() / "int8.tflite").read_bytes())
    done = run("export", model)
    assert done.exit_code == 0, done.output
    assert {p.name for p in tmp_path.iterdir()} == {"a b.tflite", "a_b_model.h", "a_b_model.c"}
    assert str(refused("export", model)).endswith("a_b_model.h exists")
    assert run("export", model, "--force", "--json").exit_code == 0


def refused(*words):
    """Return the error that a command line ends in."""
    return CliRunner().invoke(app, list(map(str, words))).exception


def test_a_file_that_does_not_run_there_is_named(micro, tmp_path):
    model = tmp_path / "dynamic.tflite"
    model.write_bytes((converted() / "dynamic.tflite").read_bytes())
    found = refused("export", model)
    assert str(found).startswith("dynamic.tflite cannot be written as c: TensorFlow Lite Micro has")
    assert list(tmp_path.iterdir()) == [model]


def test_an_export_that_is_none_is_told_with_the_nearest(tmp_path):
    found = refused("export", converted() / "int8.tflite", "--to", "cc")
    assert isinstance(found, UsageError)
    assert str(found) == "no export 'cc'"
    assert "'c'" in found.hint
    assert list(installed().exporters) == ["c"]
    tiny_model().save(tmp_path / "m.keras")
    found = refused("export", tmp_path / "m.keras")
    assert isinstance(found, ModelError)
    assert "export takes a .tflite or .esz file" in str(found)
    assert "--export c" in found.hint
    plain = ("compress", tmp_path / "m.keras", "--export", "c", "-o", tmp_path / "o.keras")
    assert "--export c is for .tflite files" in str(refused(*plain, "--prune", 0.5, "--dry-run"))
