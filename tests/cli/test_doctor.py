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


def test_what_is_missing_comes_with_how_to_get_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    assert cli.run(["doctor"]) == 0  # what is missing is optional
    said = " ".join(capsys.readouterr().out.split())
    assert "– adb (phones and boards with Android): install Android's platform tools" in said
    assert "– qemu-system-aarch64 (emulated ARM64 machines): apt-get install qemu-system-" in said


def test_something_needed_that_is_missing_is_an_error(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "needed_packages", lambda: ["no-such-thing"])
    assert cli.run(["doctor"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "– no-such-thing (edgeshrink does not work without it): pip install edgeshrink" in said


def test_every_optional_part_is_told(capsys: Captured) -> None:
    assert cli.run(["doctor", "--json"]) == 0
    told = {part["name"]: part for part in json.loads(capsys.readouterr().out)["parts"]}
    optional = {name for name, part in told.items() if not part["needed"]}
    assert optional >= {"matplotlib", "tflite-micro", "tensorflow-model-optimization", "tf-keras"}
    assert optional >= {"adb", "qemu-system-aarch64", "ssh"}
    assert all(told[name]["for"] and told[name]["install"] for name in optional)
    assert "litert-quantizer" not in told  # a test alone imports it
    extra = told["matplotlib"]["install"], told["tf-keras"]["install"]
    assert extra == ('pip install "edgeshrink[study]"', 'pip install "edgeshrink[tfmot]"')


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
