"""Folders of .wav files: what they hold, what is refused, and front ends that are run once."""

from __future__ import annotations

import io
import struct
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.wavfile

from edgeshrink.errors import DataError, UsageError
from edgeshrink.samples import load_dataset
from edgeshrink.samples.files.waveform import clip, waveform

RATE = 800


def tone(hertz: float, seconds: float = 0.1, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate) * 0.5


def write(path: Path, values: np.ndarray, rate: int = RATE) -> Path:
    """Write 16-bit samples by Python's own library; a second axis is channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if values.ndim == 1 else values.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((values * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Two words, ten files each, told apart by their pitch."""
    for name, hertz in (("no", 50), ("yes", 200)):
        for number in range(10):
            write(tmp_path / "words" / name / f"{number}.wav", tone(hertz + number))
    return tmp_path / "words"


@pytest.mark.parametrize(
    ("dtype", "scale", "step"),
    [
        ("uint8", 128, 2**-7),
        ("int16", 2**15, 2**-15),
        ("int32", 2**31, 2**-24),
        ("float32", 1, 0),
        ("float64", 1, 2**-24),
    ],
)
def test_samples_are_those_that_scipy_reads(
    dtype: str, scale: int, step: float, tmp_path: Path
) -> None:
    values = tone(90)
    stored = values.astype(dtype) if "f" in dtype else (values * scale * 0.9).astype(dtype)
    if dtype == "uint8":
        stored = (values * 100 + 128).astype(dtype)
    scipy.io.wavfile.write(tmp_path / "x.wav", RATE, stored)
    found, rate = waveform(tmp_path / "x.wav")
    wanted = stored.astype(float) - (128 if dtype == "uint8" else 0)
    assert rate == RATE
    assert found.dtype == np.float32
    assert np.abs(found - wanted / scale).max() <= step


def test_24_bits_and_formats_by_guid_are_read(tmp_path: Path) -> None:
    whole = np.array([0, 1, -1, 2**23 - 1, -(2**23)], "<i4")
    data = b"".join(int(v).to_bytes(3, "little", signed=True) for v in whole) + b"\0"
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    told = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * 3, 3, 24, 22, 24, 0) + guid
    chunks = b"fmt " + struct.pack("<I", len(told)) + told
    chunks += b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of odd length: padded
    chunks += b"data" + struct.pack("<I", 15) + data
    (tmp_path / "x.wav").write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + b"WAVE" + chunks)
    found, _ = waveform(tmp_path / "x.wav")
    assert found.tolist() == (whole / 2**23).astype("float32").tolist()


def test_words_are_waveforms_by_class(words: Path) -> None:
    data = load_dataset(str(words))
    assert data.class_names == ("no", "yes")
    assert data.train is not None
    assert data.train.inputs["x"].shape[1:] == (80,)
    values = data.train.take([0])["x"]
    assert values.dtype == np.float32
    assert 0.45 < np.abs(values).max() <= 0.5
    assert data.described()["sound"] == "800 samples a second, 80 samples a clip"
    fitted = data.for_model({"sound": (None, 80, 1)}, {"y": (None, 2)})
    assert fitted.values(fitted.train, [0, 1])["sound"].shape == (2, 80, 1)


def test_parts_of_sound_are_folders(words: Path) -> None:
    for part in ("train", "validation", "test"):
        for name in ("no", "yes"):
            write(words.parent / "parts" / part / name / "1.wav", tone(len(part) * 10 + len(name)))
            write(words.parent / "parts" / part / name / "2.wav", tone(len(part) * 9 + len(name)))
    data = load_dataset(str(words.parent / "parts"))
    assert data.counts() == {"train": 4, "validation": 4, "calibration": 4, "test": 4}
    assert data.split_off == ()


def test_several_channels_are_mixed_and_told(words: Path) -> None:
    both = np.stack((tone(50), np.zeros(80)), axis=1)
    write(words / "no" / "0.wav", both)
    data = load_dataset(str(words))
    assert any(
        note == "1 of 20 .wav files have several channels, which are mixed to one: their mean"
        for note in data.notes
    )
    assert waveform(words / "no" / "0.wav")[0] == pytest.approx(tone(50) / 2, abs=1e-4)


def test_clips_of_another_length_or_rate_are_named(words: Path) -> None:
    write(words / "yes" / "3.wav", tone(200, seconds=0.2))
    with pytest.raises(DataError, match=r"of one length; 19 of 20 have 0\.1 s, and not") as raised:
        load_dataset(str(words))
    assert "3.wav (0.2 s)" in str(raised.value)
    assert raised.value.hint.startswith("--clip-seconds 0.1 cuts")
    data = load_dataset(str(words), clip_seconds=0.15)
    assert data.train is not None
    assert data.train.inputs["x"].shape[1:] == (120,)
    assert "20 of 20 .wav files are cut, or padded with silence, to 0.15 s" in data.notes
    assert not data.train.take([0])["x"][0, 100:].any() or data.train.take([0])["x"][0, 119]
    write(words / "yes" / "3.wav", tone(200, rate=400), rate=400)
    with pytest.raises(DataError, match="19 of 20 have 800 samples a second, and not") as raised:
        load_dataset(str(words), clip_seconds=0.15)
    assert "3.wav (400)" in str(raised.value)
    with pytest.raises(ValueError, match="400 samples a second, not 800"):
        clip(words / "yes" / "3.wav", 800, 80)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: whole[:60], "cut off: 160 bytes of samples are told, 16 are there"),
        (lambda whole: whole[:30], "its format is damaged"),
        (lambda whole: whole[:40], "ends before its samples begin"),
        (lambda whole: b"ID3" + whole, "does not begin as a .wav file"),
        (lambda whole: whole[:20] + b"\x06" + whole[21:], "of format 6 with 16 bits, not PCM"),
        (lambda whole: whole[:40] + bytes(4), "there are none in"),
    ],
)
def test_what_is_no_sound_is_refused_by_name(change: Any, said: str, words: Path) -> None:
    path = words / "yes" / "5.wav"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=said) as raised:
        load_dataset(str(words))
    assert "5.wav" in str(raised.value)
    assert raised.value.hint


def test_a_file_that_is_no_number_is_refused_when_it_is_read(words: Path) -> None:
    scipy.io.wavfile.write(words / "no" / "1.wav", RATE, np.full(80, np.nan, np.float32))
    with pytest.raises(DataError, match=r"1\.wav cannot be read: it holds NaN or infinity"):
        load_dataset(str(words), validation=0, calibration=16)


def test_other_formats_and_mixtures_are_refused(words: Path) -> None:
    (words / "no" / "x.flac").write_bytes(b"fLaC")
    with pytest.raises(DataError, match=r"sound must be in \.wav files; 1 of 21") as raised:
        load_dataset(str(words))
    assert raised.value.hint == "convert them, as in `ffmpeg -i x.flac x.wav`"
    (words / "no" / "x.flac").rename(words / "no" / "x.png")
    with pytest.raises(DataError, match=r"images or sound; words has 20 \.wav files and 1 images"):
        load_dataset(str(words))


def test_options_of_other_files_are_refused(words: Path) -> None:
    with pytest.raises(UsageError, match="--resize is for a folder of images"):
        load_dataset(str(words), resize="antialias")
    with pytest.raises(UsageError, match=r"--window is for a \.csv or \.parquet file"):
        load_dataset(str(words), window=3)


FRONT = """
import helper
import numpy as np

calls = []


def spectrum(batch):
    calls.append(len(batch))
    return np.abs(np.fft.rfft(batch))[:, :helper.BINS]
"""


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "front_end.py").write_text(FRONT)
    (tmp_path / "helper.py").write_text("BINS = 30\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("front_end", "helper"):
        sys.modules.pop(name, None)
    yield tmp_path
    for name in ("front_end", "helper"):
        sys.modules.pop(name, None)


def test_a_front_end_is_run_once_a_sample(words: Path, front: Path) -> None:
    data = load_dataset(str(words), preprocess="front_end:spectrum")
    data = data.for_model({"x": (None, 30)}, {"y": (None, 2)})
    import front_end

    before = sum(front_end.calls)
    assert data.train is not None
    first = [x["x"] for x, _ in data.batches(data.train, 4, shuffle_seed=1)]
    again = [x["x"] for x, _ in data.batches(data.train, 5, shuffle_seed=2)]
    assert sum(front_end.calls) - before == len(data.train)
    whole = np.sort(np.concatenate(first), axis=0)
    assert (whole == np.sort(np.concatenate(again), axis=0)).all()
    waves = data.train.take([0])["x"]
    assert data.values(data.train, [0])["x"] == pytest.approx(np.abs(np.fft.rfft(waves))[:, :30])


def test_a_full_disk_only_makes_a_front_end_run_again(
    words: Path, front: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from edgeshrink.samples import kept

    data = load_dataset(str(words), preprocess="front_end:spectrum")
    wanted = data.values(data.train, [0, 1])["x"]
    monkeypatch.setattr(kept.os, "pwrite", lambda *args: 0)
    full = load_dataset(str(words), preprocess="front_end:spectrum")
    assert (full.values(full.train, [0, 1])["x"] == wanted).all()
    monkeypatch.undo()
    assert os.pwrite is not None
    monkeypatch.setattr(kept, "MOST_BYTES", 10)
    large = load_dataset(str(words), preprocess="front_end:spectrum")
    assert (large.values(large.train, [0, 1])["x"] == wanted).all()


def test_a_changed_front_end_or_helper_is_other_data(words: Path, front: Path) -> None:
    def digest() -> str:
        for name in ("front_end", "helper"):
            sys.modules.pop(name, None)
        return load_dataset(str(words), preprocess="front_end:spectrum").digest

    first = digest()
    assert digest() == first
    (front / "helper.py").write_text("BINS = 29 + 0\n")
    second = digest()
    (front / "front_end.py").write_text(FRONT.replace("np.abs", "1.0 + np.abs"))
    assert len({first, second, digest(), load_dataset(str(words)).digest}) == 4


def test_sound_in_memory_is_read_as_from_a_file(words: Path) -> None:
    path = words / "no" / "0.wav"
    found, _ = waveform(io.BytesIO(path.read_bytes()))
    assert (found == waveform(path)[0]).all()
