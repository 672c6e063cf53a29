"""A space that spares the layers which bear least."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeshrink.engine.searching.seeding import hardy, read_sensitivity, seeded
from edgeshrink.errors import UsageError
from edgeshrink.plugins import installed
from edgeshrink.recipes import Space, Strengths
from edgeshrink.results import Effect, Sensitivity, SensitivityReport, json_text

TEXT = """
[[step]]
method = "shrink"
optional = true
ratio = [0.25, 0.5]

[[step]]
method = "prune"
sparsity = [0.5]
layers = [["dense"]]

[[step]]
method = "int8"
"""


def report(**divergences: float) -> SensitivityReport:
    """Return a report of layers, each with what shrinking at the middle strength does to it."""
    methods = {name: Strengths("channels that go", (0.25, 0.5, 0.75)) for name in ("shrink",)}
    layers = tuple(
        Sensitivity(name, 10, (Effect("shrink", 0.5, 0, 0, value, None, None),))
        for name, value in divergences.items()
    )
    return SensitivityReport("m.keras", 100, False, None, methods, layers)


def test_steps_are_tried_without_what_bears_least() -> None:
    space = Space.from_toml(TEXT, installed().methods)
    found = seeded(space, report(**{"b": 1.0, "a+c": 0.1, "d": 0.2}))
    shrink, prune, precision = ([str(step) for step in place.steps] for place in found.places)
    assert shrink == [
        "None",
        "shrink(ratio=0.25)",
        "shrink(ratio=0.5)",
        "shrink(ratio=0.25, layers=a+c+d)",
        "shrink(ratio=0.5, layers=a+c+d)",
    ]
    assert prune == ["prune(sparsity=0.5, layers=dense)"]  # its layers were told
    assert precision == ["int8"]
    again = Space.from_toml(found.to_toml(), installed().methods)
    assert again.to_toml() == found.to_toml()


def test_no_layer_is_spared_where_nothing_tells_them_apart() -> None:
    assert hardy(report(a=0.5, b=0.1), "prune") == ()
    assert hardy(report(a=0.5), "shrink") == ()
    assert hardy(report(a=float("inf"), b=float("inf")), "shrink") == ()
    assert hardy(report(a=float("inf"), b=0.4, c=0.1), "shrink") == ("c",)
    assert hardy(report(a=0.5, b=0.5), "shrink") == ()


def test_the_file_is_what_the_command_printed(tmp_path: Path) -> None:
    found = report(a=0.5, b=0.1)
    path = tmp_path / "sensitivity.json"
    path.write_text(json_text(found.as_dict()))
    assert read_sensitivity(path) == found
    for text in ("{}", "[1]", "layer,parameters\n", '{"model": 3}'):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"is no table of what layers bear") as error:
            read_sensitivity(path)
        assert "--json" in error.value.hint
