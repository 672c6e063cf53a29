"""Mixed precision: the allocation of bits, the file that comes of it, and the table of layers."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from typer.testing import CliRunner

import edgeshrink as package
from edgeshrink import cli
from edgeshrink.cli.app import app
from edgeshrink.cli.commands.sensitivity import show_sensitivity
from edgeshrink.cli.display.tables import console
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.layer_sensitivity import SensitivityReport
from edgeshrink.errors import UsageError, VerificationError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.plugins import installed
from edgeshrink.recipes.method import Agreement, Context, Plan
from edgeshrink.recipes.recipe import Recipe
from edgeshrink.results.metric import Score
from edgeshrink.results.sensitivity import Sensitivity, Width
from edgeshrink.testing import check_method, running
from edgeshrink.testing.samples import tiny_data, tiny_model
from edgeshrink.tflite.reader import read_model
from edgeshrink_quantize.fewbits.channels import channel_kernels
from edgeshrink_quantize.fewbits.sensitivity import at_width, sensitivity
from edgeshrink_quantize.mixed.allocation import Choice, allocated, worthwhile
from edgeshrink_quantize.mixed.budgeting import smallest, within
from edgeshrink_quantize.mixed.candidates import stored_bytes
from edgeshrink_quantize.mixed.precision import Mixed

layers = keras.layers
BUDGET = 2960  # 3,392 in 8 bits, 2,896 in 4
losses = st.floats(0, 10, allow_subnormal=False) | st.sampled_from([0.0, 1e-9, 0.5])
choices = st.lists(
    st.lists(
        st.builds(Choice, st.sampled_from([8, 4, 2]), st.integers(0, 10**6), losses),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=5,
).map(lambda rows: {f"layer{place}": row for place, row in enumerate(rows)})


def total(chosen: dict[str, Choice]) -> int:
    return sum(choice.bytes for choice in chosen.values())


def loss(chosen: dict[str, Choice]) -> float:
    return sum(choice.loss for choice in chosen.values())


@settings(deadline=None, max_examples=60)
@given(choices, st.data())
def test_no_allocation_within_the_budget_is_better(
    found: dict[str, list[Choice]], data: st.DataObject
) -> None:
    every = [dict(zip(found, row, strict=True)) for row in itertools.product(*found.values())]
    sizes = sorted(map(total, every))
    budget = data.draw(st.sampled_from(sizes) | st.integers(0, sizes[-1] + 10))
    fitting = [one for one in every if total(one) <= budget]
    chosen = allocated(found, budget)
    if not fitting:
        assert chosen is None
        return
    assert chosen is not None
    assert total(chosen) <= budget
    assert all(chosen[layer] in own for layer, own in found.items())
    assert loss(chosen) <= min(map(loss, fitting)) + 1e-7


@settings(deadline=None, max_examples=40)
@given(choices, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_larger_budget_never_loses_more(
    found: dict[str, list[Choice]], budget: int, more: int
) -> None:
    least = sum(min(choice.bytes for choice in own) for own in found.values())
    small, large = allocated(found, least + budget), allocated(found, least + budget + more)
    assert small is not None
    assert large is not None
    assert loss(large) <= loss(small) + 1e-7


def test_of_equal_losses_the_fewest_bytes_are_taken() -> None:
    same = [Choice(8, 80, 0.0), Choice(4, 40, 0.0), Choice(2, 40, 0.1)]
    assert worthwhile(same) == [same[1]]
    assert allocated({"one": same}, 1000) == {"one": same[1]}


def test_a_large_model_is_allocated_to_the_byte() -> None:
    rng = np.random.default_rng(0)
    found = {
        f"layer{place}": [
            Choice(bits, int(count) * bits // 8, float(harm) / 4**bits) for bits in (8, 4, 2)
        ]
        for place, (count, harm) in enumerate(
            zip(rng.integers(10, 10**7, 150), rng.random(150), strict=True)
        )
    }
    least = sum(own[-1].bytes for own in found.values())
    for budget in (least, least + 1, 2 * least, 3 * least + 12_345):
        chosen = allocated(found, budget)
        assert chosen is not None
        assert total(chosen) <= budget
    assert allocated(found, least - 1) is None


# --- what is measured ---


def agree(reference: object, outputs: object) -> Agreement:
    return Agreement(1, False, float(reference is outputs), 1.0, 0.0)


def test_layers_on_a_grid_lose_nothing_there(tmp_path: Path) -> None:
    model = tiny_model()
    hidden = model.get_layer("hidden")
    rng = np.random.default_rng(0)
    hidden.kernel.assign(rng.integers(-7, 8, hidden.kernel.shape) * np.float32(0.05))
    last = model.get_layer("classes")
    last.kernel.assign(rng.integers(-1, 2, last.kernel.shape) * np.float32(0.3))
    np.save(tmp_path / "x.npy", rng.random((20, 8, 8, 1), "float32"))
    before = [w.numpy() for w in model.weights]
    shares = []
    found = sensitivity(
        model, {"image": tmp_path / "x.npy"}, agree, lambda outputs: None, shares.append
    )
    by_name = {layer.layer: {w.bits: w for w in layer.widths} for layer in found}
    assert list(by_name) == ["conv", "hidden", "classes_linear"]
    lost = {name: {b: w.divergence for b, w in own.items()} for name, own in by_name.items()}
    assert lost["classes_linear"] == {8: 0, 4: 0, 2: 0}
    assert lost["hidden"][8] == lost["hidden"][4] == 0 < lost["hidden"][2]
    assert 0 < lost["conv"][8] < lost["conv"][4] < lost["conv"][2]
    assert by_name["conv"][8].bytes == 36
    assert by_name["conv"][2].bytes == 9
    assert by_name["hidden"][4].agreement == 1
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
    assert all(map(np.array_equal, before, [w.numpy() for w in model.weights]))


@pytest.mark.parametrize(("bits", "least", "most"), [(8, 200, 255), (4, 15, 15), (2, 3, 3)])
def test_so_many_codes_are_left_of_each_channel(bits: int, least: int, most: int) -> None:
    columns = np.random.default_rng(0).uniform(-1, 1, (5000, 3)).astype("float32")
    columns[:, 2] = 0
    made = at_width(columns, bits)
    assert all(least <= len(np.unique(column)) <= most for column in made.T[:2])
    np.testing.assert_allclose(at_width(made, bits), made, rtol=1e-6)
    assert not made[:, 2].any()


@pytest.mark.parametrize(
    ("integer", "wanted"),
    [
        (
            True,
            {
                "conv": [720, 360, 360],
                "depth": [90, 45, 45],
                "up": [400, 400, 400],
                "dense": [640, 320, 160],
            },
        ),
        (
            False,
            {
                "conv": [720, 360, 380],
                "depth": [90, 90, 90],
                "up": [400, 400, 300],
                "dense": [640, 320, 160],
            },
        ),
    ],
)
def test_bytes_are_those_that_the_runtime_can_run(integer: bool, wanted: dict) -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            layers.Conv2D(10, 3, name="conv"),
            layers.DepthwiseConv2D(3, name="depth"),
            layers.Conv2DTranspose(10, 2, name="up"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(64, name="dense"),
        ]
    )
    found = {
        kernel.layer.name: [stored_bytes(kernel, bits, integer=integer) for bits in (8, 4, 2)]
        for kernel in channel_kernels(model)
    }
    assert found == wanted


# --- how a budget is met: files as they might turn out ---


@dataclass(frozen=True)
class File:
    bits: dict[str, int]
    size: int
    lost: float


@dataclass
class Files:
    """Candidates whose files take `beside` bytes more than their kernels, and `surprise` too."""

    beside: int = 1000
    surprise: int = 0
    loses: str = "score"
    made: list[dict[str, int]] = field(default_factory=list)

    @property
    def choices(self) -> dict[str, list[Choice]]:
        harms = {"first": 8.0, "middle": 1.0, "last": 2.0}
        return {
            name: [Choice(bits, 100 * bits, harm * (8 / bits - 1)) for bits in (8, 4, 2)]
            for name, harm in harms.items()
        }

    def make(self, bits: dict[str, int]) -> File:
        self.made.append(bits)
        chosen = [c for name, own in self.choices.items() for c in own if c.bits == bits[name]]
        narrow = any(choice.bits < 8 for choice in chosen)
        size = self.beside + sum(choice.bytes for choice in chosen) + narrow * self.surprise
        return File(bits, size, 0.5 + sum(choice.loss for choice in chosen))

    def float_bytes(self) -> int:
        return self.beside + 3 * 3200


def test_a_budget_is_met_by_the_least_harm() -> None:
    files = Files()
    made = within(files, 2600)
    assert made.size <= 2600
    assert made.lost == min(
        files.make(dict(zip(files.choices, bits, strict=True))).lost
        for bits in itertools.product((8, 4, 2), repeat=3)
        if 1000 + 100 * sum(bits) <= 2600
    )


def test_a_file_larger_than_thought_tightens_the_budget() -> None:
    files = Files(surprise=150)
    made = within(files, 2600)
    assert made.size <= 2600
    assert len(files.made) == 3  # of 8 bits, one too large, one that fits


def test_8_bits_are_kept_where_they_fit() -> None:
    assert within(Files(), 3400).bits == {"first": 8, "middle": 8, "last": 8}


def test_the_last_byte_of_a_budget_counts() -> None:
    fewest = {"first": 2, "middle": 2, "last": 2}
    assert within(Files(surprise=150), 1750).bits == fewest
    with pytest.raises(UsageError, match="takes 1,750 bytes at the fewest bits; the") as told:
        within(Files(surprise=150), 1749)
    assert told.value.hint == "give from 1,750 to 10,599 bytes"


def test_a_budget_that_float_meets_is_refused() -> None:
    assert within(Files(), 10_599).size == 3400
    with pytest.raises(UsageError, match="met by the float file, which takes 10,600") as told:
        within(Files(), 10_600)
    assert told.value.hint == "give from 1,600 to 10,599 bytes"


def test_as_many_bytes_are_saved_as_the_drop_allows() -> None:
    files = Files()
    made = smallest(files, 4.0)
    assert made.lost <= 4.0
    fitting = [
        file.size
        for bits in itertools.product((8, 4, 2), repeat=3)
        if (file := files.make(dict(zip(files.choices, bits, strict=True)))).lost <= 4.0
    ]
    assert made.size == min(fitting)
    with pytest.raises(VerificationError, match=r"of most bits loses 0\.50 points of score"):
        smallest(files, 0.4)
    assert smallest(files, 100).bits == {"first": 2, "middle": 2, "last": 2}


# --- the method ---


@pytest.mark.parametrize("values", [{}, {"bytes": 50_000, "drop": 1.0}])
def test_exactly_one_budget_is_given(values: dict) -> None:
    with pytest.raises(UsageError, match="exactly one of bytes and drop must be given"):
        Mixed.of(values)


@pytest.mark.parametrize("values", [{"bytes": 0}, {"bytes": "many"}, {"drop": -1}, {"drop": 101}])
def test_a_budget_is_a_number_within_bounds(values: dict) -> None:
    with pytest.raises(UsageError, match=f"mixed: {next(iter(values))} must be a"):
        Mixed.of(values)


def test_the_budget_alone_switches_it_on() -> None:
    methods = installed().methods
    (step,) = Recipe.from_flags({"mixed_bytes": "50000"}, methods).steps
    assert str(step) == "mixed(bytes=50000)"
    (step,) = Recipe.from_flags({"mixed": True, "mixed_drop": 0.5}, methods).steps
    assert step.options.drop == 0.5
    with pytest.raises(UsageError, match="--int8-io has no effect without --int8"):
        Recipe.from_flags({"int8_io": "int8"}, methods)


def test_a_budget_below_the_weights_is_told_before_any_work() -> None:
    base = ModelFacts(Kind.KERAS, weights_bytes=40_000)
    plan = Plan(base, (), (), None, DeviceProfile("test"))
    with pytest.raises(UsageError, match="the weights alone take about 2,500 bytes at 2 bits"):
        list(Mixed.of({"bytes": 2499}).check(plan))
    assert list(Mixed.of({"bytes": 2500}).check(plan))


def test_the_method_declares_what_a_method_must() -> None:
    check_method(Mixed, {"bytes": 4500}, apply=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Context]:
    """A tiny model's file within the budget, and what is told of it."""
    folder = tmp_path_factory.mktemp("mixed")
    step, model = Mixed.of({"bytes": BUDGET}), tiny_model()
    context = running.context(step, model, model, tiny_data(), folder)
    return step.apply(model, context), context


@pytest.mark.heavy
def test_the_file_runs_within_its_budget(made: tuple[bytes, Context]) -> None:
    data, context = made
    assert len(data) <= BUDGET
    apart = np.abs(running.outputs(data) - running.outputs(tiny_model())).max()
    assert 0 < apart < 0.5
    assert context.companions == ["names.json"]
    assert json.loads((context.folder / "names.json").read_text())["tensors"]


def test_layers_are_stored_in_the_bits_that_are_told(made: tuple[bytes, Context]) -> None:
    data, context = made
    bits = context.facts["bits"]
    assert list(bits) == ["conv", "hidden", "classes_linear"]
    assert len(set(bits.values())) > 1
    elements = {36: "conv", 1024: "hidden", 48: "classes_linear"}
    stored = {
        elements[tensor.elements]: tensor.dtype
        for tensor in read_model(data).weights
        if len(tensor.shape) > 1
    }
    assert stored == {name: f"int{width}" for name, width in bits.items()}
    assert context.facts["divergence_predicted"] > 0
    assert context.facts["divergence_measured"] > 0
    told = " ".join(context.notes)
    assert f"{bits['hidden']} bits: " in told
    assert f"divergence by rounding: {context.facts['divergence_predicted']:.4f} predicted" in told
    assert "On made-up inputs the file loses" in told
    assert "points of score and agrees on" in told


# --- the command ---


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the command prints and writes of a tiny model with data."""
    folder = tmp_path_factory.mktemp("sensitivity")
    tiny_model().save(folder / "tiny.keras")
    rng = np.random.default_rng(0)
    np.savez(
        folder / "data.npz",
        x_train=rng.random((200, 8, 8, 1), "float32"),
        y_train=rng.integers(0, 3, 200),
        x_test=rng.random((20, 8, 8, 1), "float32"),
        y_test=rng.integers(0, 3, 20),
    )
    argv = ("sensitivity", "tiny.keras", "--data", "data.npz", "-o", "table.csv", "--json")
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0, done.output
    lines = (folder / "table.csv").read_text().splitlines()
    return {"json": json.loads(done.stdout), "csv": list(csv.DictReader(lines))}


def test_the_table_is_json_and_csv_with_the_most_sensitive_layer_first(table: dict) -> None:
    found = table["json"]
    assert found["samples"] == 20
    assert not found["synthetic"]
    at_4 = [layer["widths"][1]["divergence"] for layer in found["layers"]]
    assert at_4 == sorted(at_4, reverse=True)
    assert sum(layer["parameters"] for layer in found["layers"]) == 36 + 1024 + 48
    for layer in found["layers"]:
        assert [width["bits"] for width in layer["widths"]] == [8, 4, 2]
        assert all(0 <= w["agreement"] <= 1 and 0 <= w["score"] <= 1 for w in layer["widths"])
    assert len(table["csv"]) == 9
    first = table["csv"][0]
    assert first["layer"] == found["layers"][0]["layer"]
    assert float(first["divergence"]) == found["layers"][0]["widths"][0]["divergence"]


def test_the_table_is_shown_with_what_to_do(table: dict, capsys: pytest.CaptureFixture) -> None:
    document = table["json"]
    found = SensitivityReport(
        "tiny.keras",
        20,
        False,
        Score(**document["score"]),
        tuple(
            Sensitivity(**{**layer, "widths": tuple(Width(**w) for w in layer["widths"])})
            for layer in document["layers"]
        ),
        (),
    )
    show_sensitivity(found, to=console())
    told = capsys.readouterr().out
    assert "tiny.keras on 20 validation samples; top1 is" in told
    assert told.index("classes_linear") > 0
    assert "--mixed-bytes" in told
    assert f"--int4-keep {found.layers[0].layer}" in " ".join(told.split())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sensitivity", "m.keras", "-o", "table.txt"], "-o must end in .csv or .json; received"),
        (["sensitivity", "m.json", "-o", "m.json"], "-o would overwrite m.json"),
        (["sensitivity", "m.keras", "-o", "no/t.csv"], "no folder 'no' to write no/t.csv to"),
        (["sensitivity", "missing.keras"], "no model file 'missing.keras'"),
        (["compress", "m.keras", "--mixed"], "mixed: exactly one of bytes and drop must be given"),
        (["compress", "m.keras", "--mixed-bytes", "0"], "mixed: bytes must be a whole number at"),
        (["compress", "m.keras", "--mixed-rounding", "mse"], "mixed: exactly one of bytes and"),
    ],
)
def test_mistakes_are_told_before_any_work(
    argv: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert cli.run(argv) == 2
    assert f"error: {said}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trained_net_uses_all_widths_within_a_budget(
    tmp_path: Path, digits: Path, digits_model: Path
) -> None:
    out = tmp_path / "mixed.tflite"
    report = package.compress(
        digits_model,
        out=out,
        mixed_bytes=6500,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    assert out.stat().st_size <= 6500
    base, *_, mixed, final = report.ledger.rows
    assert set(mixed.facts["bits"].values()) == {2, 4, 8}
    assert final.score.value >= base.score.value - 0.03


@pytest.mark.slow
def test_a_drop_in_points_is_kept_on_validation_samples(
    tmp_path: Path, digits: Path, digits_model: Path
) -> None:
    report = package.compress(
        digits_model,
        out=tmp_path / "mixed.tflite",
        mixed_drop=3.0,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    mixed = report.ledger.rows[-2]
    (told,) = [note for note in mixed.notes if "points of score" in note]
    assert float(told.partition("loses ")[2].partition(" ")[0]) <= 3.0
    assert min(mixed.facts["bits"].values()) == 2
