from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeshrink import cli
from edgeshrink.cli.commands import doctor

Captured = pytest.CaptureFixture[str]


def test_doctor_finds_what_is_installed_and_runs_a_model(capsys: Captured) -> None:
    code = cli.run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["well"], found["litert_problem"]) == (0, True, "")
    versions = {part["name"]: part["version"] for part in found["parts"]}
    assert versions["tensorflow"]
    assert versions["ai-edge-litert"]


def test_a_runtime_that_does_not_work_is_told(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x00\x00\x00\x00TFL3")
    monkeypatch.setattr(doctor, "DOUBLER", broken)
    assert cli.run(["doctor"]) == 1
    assert "LiteRT does not work: " in capsys.readouterr().out


def test_what_is_missing_comes_with_the_command_that_installs_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (("no-such-thing", "lowbit", "fewer bits"), ("nor-this", "", "everything"))
    monkeypatch.setattr(doctor, "PARTS", parts)
    monkeypatch.setattr(doctor, "litert_problem", lambda: "")
    assert cli.run(["doctor"]) == 1  # nor-this is not optional
    said = capsys.readouterr().out
    assert '– fewer bits: pip install "edgeshrink[lowbit]"' in said
    assert '– everything: pip install "edgeshrink"' in said
    monkeypatch.setattr(doctor, "PARTS", parts[:1])
    assert cli.run(["doctor"]) == 0


@pytest.mark.slow
def test_the_doubler_is_what_the_converter_makes() -> None:
    import tensorflow as tf

    from edgeshrink.tflite import reader

    class Doubler(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1], tf.float32, "x")])
        def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x + x}

    module = Doubler()
    concrete = [module.double.get_concrete_function()]
    made = reader.read_model(
        tf.lite.TFLiteConverter.from_concrete_functions(concrete, module).convert()
    )
    kept = reader.read_model(doctor.DOUBLER.read_bytes())
    assert [o.name for o in kept.operators] == [o.name for o in made.operators] == ["ADD"]
