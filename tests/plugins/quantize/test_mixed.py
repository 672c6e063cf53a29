"""Mixed precision: the allocation of bits, the file that comes of it, and the table of layers."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import edgeshrink as package
from edgeshrink import cli
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import UsageError, VerificationError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.plugins import installed
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.method import Plan
from edgeshrink.recipes.recipe import Recipe
from edgeshrink.testing import check_method, running
from edgeshrink.testing.samples import tiny_data, tiny_model
from edgeshrink.tflite.reader import read_model
from edgeshrink_quantize.fewbits.channels import channel_kernels
from edgeshrink_quantize.fewbits.sensitivity import at_width
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


@settings(max_examples=60)
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


@settings(max_examples=40)
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


def test_layers_on_a_grid_are_left_as_they_are_there() -> None:
    model = tiny_model()
    hidden = model.get_layer("hidden")
    rng = np.random.default_rng(0)
    hidden.kernel.assign(rng.integers(-7, 8, hidden.kernel.shape) * np.float32(0.05))
    last = model.get_layer("classes")
    last.kernel.assign(rng.integers(-1, 2, last.kernel.shape) * np.float32(0.3))
    found = {change.layer: change.changed for change in Mixed.by_layer(model)}
    assert list(found) == ["conv", "hidden", "classes"]

    def kept(layer: str) -> list[bool]:
        told = [found[layer](bits).weights for bits in (8, 4, 2)]
        return [all(np.array_equal(v, values) for v, values in own) for own in told]

    assert kept("classes") == [True, True, True]
    assert kept("hidden") == [True, True, False]
    assert kept("conv") == [False, False, False]
    assert [found["conv"](bits).bytes_saved for bits in (8, 4, 2)] == [108, 126, 135]


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


@pytest.mark.parametrize(
    ("argv", "said"),
    [
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
        output=out,
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
        output=tmp_path / "mixed.tflite",
        mixed_drop=3.0,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    mixed = report.ledger.rows[-2]
    (told,) = [note for note in mixed.notes if "points of score" in note]
    assert float(told.partition("loses ")[2].partition(" ")[0]) <= 3.0
    assert min(mixed.facts["bits"].values()) == 2
