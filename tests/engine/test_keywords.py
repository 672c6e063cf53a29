"""Spoken words, made of tones: from a folder of .wav files to the program that hears one."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeshrink import cli
from edgeshrink.results import Report

RATE, BINS = 1600, 32
FRONT = f"""
import numpy as np


def spectrum(batch):
    frames = batch.reshape(len(batch), 4, -1)
    return np.log1p(np.abs(np.fft.rfft(frames)))[:, :, :{BINS}]
"""
WORDS = {"down": 120, "left": 240, "up": 480}


def write(path: Path, hertz: float, rng: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(400) / RATE
    values = np.sin(2 * np.pi * (hertz + rng.normal(0, 5)) * time) * rng.uniform(0.3, 0.8)
    values = values + rng.normal(0, 0.1, 400)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((values.clip(-1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with words, a front end, a model that knows them, and a result."""
    import keras

    root, rng = tmp_path_factory.mktemp("heard"), np.random.default_rng(0)
    for part, count in (("train", 30), ("test", 12)):
        for name, hertz in WORDS.items():
            for number in range(count):
                write(root / "words" / part / name / f"{number}.wav", hertz, rng)
    (root / "front_end.py").write_text(FRONT)
    sys.path.append(str(root))
    from edgeshrink.samples import load_dataset

    data = load_dataset(str(root / "words"), preprocess="front_end:spectrum")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, BINS)),
            layers.Conv1D(8, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert data.train is not None
    rows = np.arange(len(data.train))
    model.fit(data.values(data.train, rows)["x"], data.train.labels, epochs=30, verbose=0)
    model.save(root / "words.keras")
    yield root
    sys.path.remove(str(root))
    sys.modules.pop("front_end", None)


@pytest.fixture(scope="module")
def result(heard: Path) -> Report:
    before = Path.cwd()
    os.chdir(heard)
    try:
        words = ["compress", "words.keras", "--prune", "0.5", "--int8", "--epochs", "2"]
        words += ["--data", "words", "--preprocess", "front_end:spectrum", "--rules", "smoke"]
        assert cli.run(words) == 0
    finally:
        os.chdir(before)
    return Report.read(heard / "words.tflite")


@pytest.mark.heavy
def test_a_pruned_int8_file_hears_the_words(result: Report) -> None:
    assert result.failed == ""
    assert result.ledger.rows[0].score.value > 0.9
    assert result.ledger.final.score.value > 0.9
    assert result.data["counts"]["test"] == 36
    assert result.data["sound"] == "1600 samples a second, 400 samples a clip"
    assert result.data["class_names"] == ["down", "left", "up"]
    assert result.verdict.samples == 36
    assert result.verdict.metric == "top1"


@pytest.mark.heavy
@pytest.mark.parametrize("word", list(WORDS))
def test_the_program_hears_a_word(word: str, result: Report, heard: Path) -> None:
    from edgeshrink.samples.files.waveform import waveform

    file = heard / "words" / "test" / word / "3.wav"
    np.save(heard / "x.npy", waveform(file)[0])
    for given in (file, "x.npy"):
        argv = [sys.executable, "words.infer.py", given]
        done = subprocess.run(argv, cwd=heard, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == word


@pytest.mark.heavy
def test_the_program_refuses_what_it_cannot_hear(result: Report, heard: Path) -> None:
    def told(*given: object) -> str:
        argv = [sys.executable, str(heard / "words.infer.py"), *map(str, given)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    (heard / "cut.wav").write_bytes((heard / "words/test/up/0.wav").read_bytes()[:100])
    np.save(heard / "short.npy", np.zeros(3))
    assert "usage: python words.infer.py FILE" in told()
    assert "cut.wav cannot be read: it is cut off" in told(heard / "cut.wav")
    assert "short.npy cannot be read: cannot reshape array of size 3" in told(heard / "short.npy")
    assert "gone.wav cannot be read" in told(heard / "gone.wav")


@pytest.mark.heavy
def test_a_changed_front_end_is_not_taken_for_the_old_one(result: Report, heard: Path) -> None:
    (heard / "front_end.py").write_text(FRONT.replace("np.log1p", "2 * np.log1p"))
    argv = [sys.executable, "-m", "edgeshrink.cli", "compress", "words.keras", "--prune", "0.5"]
    argv += ["--int8", "--epochs", "2", "--data", "words", "--preprocess", "front_end:spectrum"]
    argv += ["--rules", "smoke", "--json", "--force", "--max-drop", "none"]
    done = subprocess.run(argv, cwd=heard, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = Report.read(heard / "words.tflite")
    assert again.data["digest"] != result.data["digest"]
    assert not any(row.reused for row in again.ledger.rows if row.step.startswith("prune"))
