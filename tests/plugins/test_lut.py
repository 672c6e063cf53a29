"""Look-up tables for TensorFlow Lite Micro: what is chosen, and what its interpreter says of it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tiny_models import converted, few_values, written
from typer.testing import CliRunner

from edgeshrink.api import Context, DeviceProfile, Plan, Room, Training, UsageError
from edgeshrink.cli.app import app
from edgeshrink.engine import Request, plan
from edgeshrink.errors import CommandFailed, VerificationError
from edgeshrink.models import facts
from edgeshrink.plugins import installed
from edgeshrink.recipes import Phase, Recipe
from edgeshrink.results import Budgets
from edgeshrink.testing import check_method, tiny_model
from edgeshrink.tflite import constant_values, decoded, naming, read_model, strip
from edgeshrink_tflm.choosing import Choice, Choices, best, front
from edgeshrink_tflm.lut import Lut
from edgeshrink_tflm.process import Micro
from edgeshrink_tflm.tables import tables

pytest.importorskip("tflite_micro", reason='needs pip install "edgeshrink[micro]"')


@pytest.fixture(scope="module")
def model():
    return strip(few_values((converted() / "int8.tflite").read_bytes()))[0]


def layers(schema, tensor, operator):
    """Make dense layers of 64, 40 and 24 outputs, of five values each."""
    random = np.random.default_rng(0)
    first = given = tensor((1, 32))
    for inputs, outputs in ((32, 64), (64, 40), (40, 24)):
        kernel = random.choice(np.float32([-1, -0.5, 0, 0.25, 1]), (outputs, inputs))
        result = tensor((1, outputs))
        bias = tensor((outputs,), random.random(outputs, np.float32))
        operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            (given, tensor(kernel.shape, kernel), bias),
            (result,),
            schema.FullyConnectedOptionsT(),
            schema.BuiltinOptions.FullyConnectedOptions,
        )
        given = result
    return [first], [given]


@pytest.fixture(scope="module")
def deep():
    return strip(written(layers))[0]


@pytest.fixture(scope="module")
def choices(deep, tmp_path_factory):
    micro = Micro(read_model(deep), tmp_path_factory.mktemp("micro"))
    made = Choices(deep, micro, lambda one: strip(one)[0])
    groups = tables(deep, read_model(deep))
    return made.explored(groups, Room()), made, groups


def loads(data, arena, folder):
    """Ask the package itself, in a process of its own."""
    path = folder / "asked.tflite"
    path.write_bytes(data)
    code = (
        "import sys\n"
        "from tflite_micro import runtime\n"
        "runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2])).invoke()"
    )
    argv = [sys.executable, "-c", code, str(path), str(arena)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def context(folder, room=Room()):  # noqa: B008
    def nothing(*_):
        raise AssertionError

    return Context(
        data=None,
        profile=DeviceProfile("board", runtime="tflm"),
        folder=folder,
        seed=0,
        training=Training(),
        progress=lambda share, note: None,
        original=nothing,
        evaluate=nothing,
        agreement=nothing,
        measure=nothing,
        log=folder / "log",
        room=room,
    )


# ---- what may be looked up


def test_only_tensors_that_become_smaller_are_looked_up(model):
    groups = tables(model, read_model(model))
    assert groups
    for table in itertools.chain(*groups):
        values = constant_values(model, table.tensor)
        slices = [values] if table.axis is None else np.moveaxis(values, table.axis, 0)
        most = max(len(np.unique(one)) for one in slices)
        assert 2 ** (table.bits - 1) < most <= 2**table.bits
    plain = (converted() / "float.tflite").read_bytes()
    assert tables(plain, read_model(plain)) == []


def test_a_table_for_each_scale_is_what_the_kernel_decodes_by(model, tmp_path):
    """Of another form it makes other values without a word, and that is seen."""
    micro = Micro(read_model(model), tmp_path)
    groups = tables(model, read_model(model))
    table = next(t for t in itertools.chain(*groups) if len(t.tensor.scales) > 1)
    assert table.axis == table.tensor.axis
    right = table.asked()
    wrong = {**right, "compression": [{"lut": {"index_bitwidth": 4, "per_tensor": None}}]}
    good, bad = micro.encoded(model, [[right], [wrong]])
    assert micro.same((model, good), 8, 0)
    assert not micro.same((model, bad), 8, 0)
    assert read_model(decoded(bad)).parameters == read_model(model).parameters
    spelled_out = Interpreter(model_content=decoded(good))  # the indices' scales are theirs no more
    spelled_out.allocate_tensors()


def test_a_refused_tensor_is_no_choice(model, tmp_path):
    micro = Micro(read_model(model), tmp_path)
    table = next(itertools.chain(*tables(model, read_model(model))))
    short = {**table.asked(), "compression": [{"lut": {"index_bitwidth": 1, "per_tensor": None}}]}
    assert micro.encoded(model, [[short]]) == [None]


# ---- what is chosen


def test_every_choice_is_measured_as_the_package_has_it(choices, tmp_path):
    found, _, groups = choices
    assert found[0].groups == ()
    assert len(groups) == 3
    assert len(found) == 1 + 3 + 2  # as it is, each alone, the beginnings
    for one in found[:3]:
        assert loads(one.model, one.arena_bytes, tmp_path)
        assert not loads(one.model, one.arena_bytes - 16, tmp_path)


def test_the_front_is_that_of_all_subsets(choices):
    found, made, groups = choices
    subsets = [s for n in range(len(groups) + 1) for s in itertools.combinations(groups, n)]
    every = made.measured(subsets)
    assert len(every) == 2 ** len(groups)
    for one in every:  # what we measured leaves nothing better than by what an operator keeps
        assert any(
            ours.flash_bytes <= one.flash_bytes and ours.arena_bytes <= one.arena_bytes + 256
            for ours in found
        )


def test_the_smallest_file_that_fits_is_taken():
    made = [
        Choice((), bytes(flash), arena) for flash, arena in ((90, 10), (60, 30), (70, 30), (50, 80))
    ]
    assert [(c.flash_bytes, c.arena_bytes) for c in front(made)] == [(90, 10), (60, 30), (50, 80)]
    assert best(made, Room()).flash_bytes == 50
    assert best(made, Room(100, 40)).flash_bytes == 60
    assert best(made, Room(None, 9)).arena_bytes == 10
    nearest = best(made, Room(55, 25))
    assert (nearest.flash_bytes, nearest.arena_bytes) == (60, 30)
    assert nearest.miss(Room(55, 25)) == pytest.approx(0.2)


def test_memory_decides_how_many_tensors_are_looked_up(deep, choices, tmp_path):
    found, _, _ = choices
    edge = front(found)
    assert len(edge) > 2
    for one in edge:
        lent = context(tmp_path, Room(None, one.arena_bytes))
        made = Lut().apply(deep, lent)
        assert len(made) == one.flash_bytes
        assert lent.facts["arena_bytes"] <= one.arena_bytes
        assert "unmet" not in lent.facts


# ---- the step


def test_the_file_is_smaller_and_answers_alike(model, tmp_path):
    lent = context(tmp_path)
    made = Lut().apply(model, lent)
    assert len(made) < len(model)
    assert lent.facts["flash_bytes"] == len(made)
    assert lent.facts["front"][0] == [len(model), lent.facts["before"]["arena_bytes"], 0]
    assert "tensors are looked up:" in lent.notes[0]
    assert "outputs are the same to the last bit" in lent.notes[0]
    before, after = read_model(model), read_model(decoded(made))
    assert [o.name for o in before.operators] == [o.name for o in after.operators]
    assert [t.name for t in (*before.inputs, *before.outputs)] == [
        t.name for t in (*after.inputs, *after.outputs)
    ]
    stored = {constant_values(model, t).tobytes() for t in before.weights}
    assert {constant_values(decoded(made), t).tobytes() for t in after.weights} == stored


def test_budgets_that_no_choice_meets_are_unmet_with_the_nearest(model, tmp_path):
    lent = context(tmp_path, Room(1000, 1000))
    Lut().apply(model, lent)
    assert lent.facts["unmet"].startswith(
        "lut: no choice of tensors fits 1,000 bytes of flash and 1,000 bytes of memory; the nearest"
    )
    assert lent.notes[1].startswith("flash and arena can be, in bytes: ")
    assert f"{len(model):,} and " in lent.notes[1]


def test_a_file_that_does_not_run_at_all_is_refused_with_the_reason(tmp_path):
    with pytest.raises(CommandFailed, match="inputs of FLOAT32 and weights of INT8"):
        Lut().apply((converted() / "dynamic.tflite").read_bytes(), context(tmp_path))


def test_where_nothing_has_few_values_nothing_changes(tmp_path):
    plain = (converted() / "float.tflite").read_bytes()
    lent = context(tmp_path)
    assert Lut().apply(plain, lent) == plain
    assert lent.notes == ["no tensor has so few values that a table pays: nothing changed"]


WRONG = """
from tflite_micro import compression
from tflite_micro.tensorflow.lite.micro.compression import spec

real = compression.compress


def wrong(model, tensors):
    for tensor in tensors:
        tensor.compression[0].mode = spec.PerTensor()
    return real(model, tensors)


compression.compress = wrong
"""


def test_a_file_that_answers_otherwise_is_an_error(model, tmp_path, monkeypatch):
    """As the compressor makes one of a tensor with a scale for each channel and one table."""
    (tmp_path / "sitecustomize.py").write_text(WRONG)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    with pytest.raises(VerificationError, match="answers otherwise in TensorFlow Lite Micro than"):
        Lut().apply(model, context(tmp_path))


def test_it_declares_well_and_other_runtimes_are_refused():
    check_method(Lut, apply=False)
    assert Lut.phase is Phase.PACK
    step = Lut()
    with pytest.raises(UsageError, match="TensorFlow Lite Micro alone runs; desktop runs litert"):
        list(step.check(Plan(None, (), (), None, DeviceProfile("desktop"))))
    (said,) = step.check(Plan(None, (), (), None, DeviceProfile("board", runtime="tflm")))
    assert "only tensors of at most 128 values are looked up" in said


@pytest.mark.parametrize("names", ["none", "keep"])
def test_names_are_left_as_the_file_was_stripped(tmp_path, names):
    file = strip(few_values((converted() / "int8.tflite").read_bytes()), names)[0]
    made = Lut().apply(file, context(tmp_path))
    assert len(made) < len(file)
    assert naming(made) == names


def test_names_are_kept_where_the_file_was_not_stripped(tmp_path):
    named = few_values((converted() / "int8.tflite").read_bytes())
    made = read_model(Lut().apply(named, context(tmp_path)))
    assert {t.name for t in read_model(named).tensors} <= {t.name for t in made.tensors}


# ---- what the plan knows


def test_room_is_the_least_of_devices_and_budgets(tmp_path):
    tiny_model().save(tmp_path / "tiny.keras")
    shape = (60, *tiny_model().input_shape[1:])
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random(shape, np.float32))
    for name, flash, ram in (("one", 5000, 9000), ("two", 7000, 8000)):
        (tmp_path / f"{name}.toml").write_text(BOARD.format(flash, ram))
    asked = Request(
        tmp_path / "tiny.keras",
        Recipe.from_steps(["int8", "lut"], installed().methods),
        tmp_path / "tiny.tflite",
        data=str(tmp_path / "data.npz"),
        devices=tuple(str(tmp_path / f"{name}.toml") for name in ("one", "two")),
    )
    assert plan(asked, installed()).room == Room(5000, 8000)
    budgets = Budgets(max_bytes="4kB", max_arena="64KiB")
    assert plan(replace(asked, budgets=budgets), installed()).room == Room(4000, 8000)


def test_weights_may_take_fewer_bits_than_their_precision_and_sharing_pays(tmp_path):
    tiny_model().save(tmp_path / "tiny.keras")
    base = facts(tmp_path / "tiny.keras")
    least = base.weights_bytes // 4
    board = DeviceProfile("board", runtime="tflm", storage_bytes=least - 1)
    methods = installed().methods
    int8, cluster = methods["int8"](), methods["cluster"].of({"clusters": 4})
    with pytest.raises(UsageError, match="the weights alone take at least"):
        list(int8.on_device(Plan(base, (), (), None, board), "int8"))
    assert list(int8.on_device(Plan(base, (), (Lut(),), None, board), "int8")) == []
    alone, looked_up = (
        " ".join(cluster.check(Plan(base, (), after, None, board)))
        for after in ((int8,), (int8, Lut()))
    )
    assert "not smaller on disk" in alone
    assert "smaller to download and smaller on disk, not faster" in looked_up


# ---- the whole way


BOARD = 'title = "a board"\nruntime = "tflm"\nstorage_bytes = {}\nmemory_bytes = {}\n'


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    tiny_model().save(folder / "tiny.keras")
    (folder / "board.toml").write_text(BOARD.format(1 << 20, 1 << 18))
    random = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=random.random((60, *tiny_model().input_shape[1:]), np.float32))
    done = run(
        *("compress", folder / "tiny.keras", "--cluster", 4, "--int8", "--lut", "--data"),
        *(folder / "data.npz", "--device", folder / "board.toml", "--rules", "smoke"),
        *("--max-drop", "none", "-o", folder / "tiny.tflite", "--export", "c"),
    )
    return folder, done


def test_compress_says_what_tables_took_and_writes_c(compressed):
    folder, done = compressed
    assert done.exit_code == 0, done.output
    report = json.loads((folder / "tiny.report.json").read_text())
    row = report["ledger"]["rows"][-1]
    assert row["step"] == "lut"
    assert row["facts"]["flash_bytes"] == row["size_bytes"]
    assert row["on"][0]["arena_bytes"] == row["facts"]["arena_bytes"]
    assert row["agreement"]["top1"] == report["ledger"]["rows"][-2]["agreement"]["top1"]
    assert row["parameters"] == report["ledger"]["rows"][-2]["parameters"]
    assert not (folder / "tiny.infer.py").exists()  # it would run LiteRT
    assert (folder / "tiny_model.h").is_file()
    assert "tiny_model.c" in done.output


def test_other_runtimes_refuse_the_file_in_words(compressed):
    folder, _ = compressed
    done = run("bench", folder / "tiny.tflite", "--device", "desktop", "--rules", "smoke")
    assert "TensorFlow Lite Micro alone runs" in " ".join(done.output.split())
    found = json.loads(run("inspect", folder / "tiny.tflite", "--json").output)
    assert found["notes"][0].startswith("constants lie behind the operator TFLM_DECODE")
    plain = read_model(decoded((folder / "tiny.tflite").read_bytes()))
    assert found["parameters"] == plain.parameters
    assert sum(row["parameters"] for row in found["operators"]) == plain.parameters


def test_a_board_that_is_too_small_ends_in_4_with_the_nearest(compressed, tmp_path):
    folder, _ = compressed
    done = run(
        *("compress", folder / "tiny.keras", "--cluster", 4, "--int8", "--lut", "--data"),
        *(folder / "data.npz", "--device", folder / "board.toml", "--rules", "smoke"),
        *("--max-drop", "none", "-o", tmp_path / "tiny.tflite", "--max-bytes", 900),
        *("--run", folder / "tiny.run"),
    )
    assert done.exit_code == 4, done.output
    said = " ".join(done.output.split())
    assert "lut: no choice of tensors fits 900 bytes of flash and 262,144 bytes of memory" in said
    assert "--max-bytes 900" in said
    assert Path(tmp_path, "tiny.tflite").is_file()
