"""A space of recipes: declared by methods, read from TOML, counted, and written again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeshrink.engine import chosen_devices
from edgeshrink.errors import RecipeError, UsageError
from edgeshrink.models import Kind, ModelFacts
from edgeshrink.plugins import installed
from edgeshrink.recipes import Space

TEXT = """
seed = 3

[training]
effort = "quick"

[[step]]
method = "shrink"
optional = true
ratio = [0.25, 0.5]
target = "macs"

[[step]]
method = "prune"
sparsity = [0.5, 0.8]
layers = [["conv"], ["dense"]]

[[step]]
method = "int8"

[[step]]
method = "int16x8"
"""


def space(text: str = TEXT) -> Space:
    return Space.from_toml(text, installed().methods, origin="space.toml")


def named(found: Space) -> list[list[str]]:
    return [[str(step) for step in place.steps] for place in found.places]


def test_lists_are_values_to_try_and_steps_of_one_slot_are_alternatives() -> None:
    found = space()
    assert [place.name for place in found.places] == ["shrink", "prune", "precision"]
    assert [len(place.steps) for place in found.places] == [3, 4, 2]
    assert found.size == 24 == len(set(found.points()))
    assert named(found)[2] == ["int8", "int16x8"]
    assert named(found)[1][1] == "prune(sparsity=0.5, layers=dense)"
    first, last = found.recipe((0, 0, 0)), found.recipe((2, 3, 1))
    assert [str(step) for step in first.steps] == ["prune(sparsity=0.5, layers=conv)", "int8"]
    assert str(last.steps[0]) == "shrink(ratio=0.5, target=macs)"
    assert (last.seed, last.training.effort) == (3, "quick")
    for point in found.points():
        assert found.point(found.named(point)) == point


def test_a_space_is_written_as_it_is_read() -> None:
    found = space()
    again = Space.from_toml(found.to_toml(), installed().methods)
    assert named(again) == named(found)
    assert again.to_toml() == found.to_toml()
    assert again.digest == found.digest != space(TEXT.replace("0.25", "0.3")).digest


def test_the_value_of_a_method_may_be_left_to_its_declaration() -> None:
    (place,) = space('[[step]]\nmethod = "cluster"\noptional = true').places
    assert [str(step) for step in place.steps] == [
        "None",
        *(f"cluster(clusters={count})" for count in (64, 32, 16, 8)),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "space.toml has no steps"),
        ("step = 3", "steps are written as"),
        ("places = 3", "unknown key 'places'"),
        ("seed = -1\n[[step]]\nmethod = 'int8'", "seed must be"),
        ("[[step]]\nmethod = 'prnue'", "no method 'prnue'"),
        ("[[step]]\nsparsity = [0.5]", "no method None"),
        ("[[step]]\nmethod = 'prune'\nsparsity = [0.5, 1.5]", "at least 0 and below 1"),
        ("[[step]]\nmethod = 'prune'\nspars = [0.5]", "no option 'spars'"),
        ("[[step]]\nmethod = 'prune'\nsparsity = [0.5]\noptional = 1", "true or false"),
        ("[[step]]\nmethod = 'prune'\nsparsity = []", "needs a value to try"),
        (
            f"[[step]]\nmethod = 'prune'\nsparsity = {[k / 200 for k in range(150)]}\n"
            f"initial = {[k / 200 for k in range(150)]}",
            "combinations of values",
        ),
    ],
)
def test_mistakes_are_told(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        space(text)


def test_a_point_of_another_space_is_refused() -> None:
    with pytest.raises(UsageError, match="no point"):
        space().point({"shrink": "none"})


def test_the_default_space_has_what_pays_on_the_device() -> None:
    plugins = installed()
    (device,) = chosen_devices(("desktop",), "", {}, plugins)

    def places(
        wanted: set[str], produces: Kind = Kind.TFLITE, **pays: tuple[str, ...]
    ) -> dict[str, list[str]]:
        there = replace(device, pays={**device.pays, **pays})
        found = Space.of(
            plugins.methods,
            there,
            wanted,
            produces=produces,
            model=ModelFacts(Kind.KERAS),
            data=None,
        )
        return {place.name: list(map(str, place.steps)) for place in found.places}

    assert set(places({"disk", "ms"})) == {"lowrank", "drop_layers", "shrink", "precision"}
    # what calibrates is refused without data
    assert places({"ms"})["precision"] == ["dynamic", "fp16", "int4", "int8", "int8(qat=True)"]
    assert set(places({"disk"}, Kind.PACKED)) >= {"prune", "cluster", "pack", "shrink"}
    # on a device whose kernels skip zeros, pruning makes a .tflite faster
    assert "prune" in places({"ms"}, zeros=("ms",))
    assert "shrink" not in places({"ms"}, channels=("disk",))


def test_steps_are_apart_by_the_order_of_their_values() -> None:
    shrink, prune, precision = space().places
    assert shrink.apart(0, 2) == 1.0
    assert shrink.apart(0, 1) == shrink.apart(1, 2) == 0.5
    assert prune.apart(0, 1) == 0.5  # one of two options
    assert prune.apart(0, 3) == 1.0
    assert precision.apart(0, 1) == 1.0
    for place in (shrink, prune, precision):
        for one in range(len(place.steps)):
            assert place.apart(one, one) == 0.0
            assert place.apart(0, one) == place.apart(one, 0)
