"""Metadata in a .tflite: read as it was written, kept on the way, and damaged metadata told."""

from __future__ import annotations

import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tiny_models import converted, outputs_of

from edgeshrink.errors import ModelError
from edgeshrink.tflite import (
    ModelMetadata,
    TensorMetadata,
    pack,
    read_metadata,
    read_model,
    strip,
    unpacked,
    with_metadata,
)

NAMES = ("cat", "dog", "gnu", "ox", "hen", "bat", "eel", "Ärger")
TOLD = ModelMetadata(
    (TensorMetadata("image", "image", "grayscale", (127.5,), (63.25,)),),
    (TensorMetadata("score", labels=NAMES),),
    name="animals",
    description="says which",
    files=("labels.txt",),
)


def read(name: str) -> bytes:
    return (converted() / f"{name}.tflite").read_bytes()


@pytest.mark.parametrize("name", ["float", "float16", "dynamic", "int8", "int8_float_io"])
def test_what_was_written_is_read_and_the_file_answers_as_before(name: str) -> None:
    data = read(name)
    made = with_metadata(data, TOLD)
    assert read_metadata(made) == TOLD
    assert read_metadata(data) is None
    assert "TFLITE_METADATA" in read_model(made).metadata
    for before, after in zip(outputs_of(data), outputs_of(made), strict=True):
        np.testing.assert_array_equal(before, after)


def test_equal_models_are_equal_files() -> None:
    assert with_metadata(read("int8"), TOLD) == with_metadata(read("int8"), TOLD)


def test_metadata_survives_stripping_and_costs_as_much_before_it_as_behind() -> None:
    before, behind = (
        strip(with_metadata(read("int8"), TOLD))[0],
        with_metadata(strip(read("int8"))[0], TOLD),
    )
    assert read_metadata(before) == read_metadata(behind) == TOLD
    assert len(before) == len(behind)
    assert len(strip(read("int8"))[0]) < len(before) < len(strip(read("int8"))[0]) + 700


def test_metadata_survives_packing() -> None:
    made = with_metadata(strip(read("int8"))[0], TOLD)
    assert unpacked(pack(made).data) == made


def test_labels_lie_in_the_archive_as_they_are_and_other_files_stay() -> None:
    file = io.BytesIO(read("float"))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("LICENSE", "yours", compress_type=zipfile.ZIP_DEFLATED)
        archive.writestr("labels.txt", "old")
    with zipfile.ZipFile(io.BytesIO(with_metadata(file.getvalue(), TOLD))) as archive:
        assert archive.testzip() is None
        assert archive.read("LICENSE") == b"yours"
        assert archive.read("labels.txt").decode() == "\n".join(NAMES)
        # MediaPipe reads files of an archive only where they are not packed
        assert archive.getinfo("labels.txt").compress_type == zipfile.ZIP_STORED


def test_new_metadata_takes_the_place_of_old() -> None:
    once = with_metadata(read("float"), TOLD)
    other = ModelMetadata((TensorMetadata("in"),), (TensorMetadata("out"),))
    twice = with_metadata(once, other)
    assert read_model(twice).metadata.count("TFLITE_METADATA") == 1
    found = read_metadata(twice)
    assert found is not None
    assert (found.inputs, found.outputs) == (other.inputs, other.outputs)


def test_several_outputs_have_labels_of_their_own() -> None:
    ends = TensorMetadata("left"), TensorMetadata("right")
    told = ModelMetadata(ends, (TensorMetadata("both", labels=("a", "b")),))
    assert read_metadata(with_metadata(read("pair"), told)).outputs == told.outputs


def test_metadata_of_another_number_of_tensors_is_refused() -> None:
    with pytest.raises(ModelError, match="the model has 2 and 1, the metadata 1 and 1"):
        with_metadata(read("pair"), TOLD)


def test_a_file_of_labels_that_is_not_there_is_told() -> None:
    made = with_metadata(read("float"), TOLD)
    with pytest.raises(ModelError, match=r"names the file 'labels\.txt', which is not behind"):
        read_metadata(made[: made.index(b"PK\x03\x04")])


def test_metadata_of_another_kind_is_told() -> None:
    made = with_metadata(read("float"), TOLD).replace(b"M001", b"M999")
    with pytest.raises(ModelError, match="damaged"):
        read_metadata(made)


def test_an_archive_that_swells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeshrink.tflite.archive.MOST_BYTES", 1 << 16)
    file = io.BytesIO(with_metadata(read("float"), TOLD))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("bomb", bytes(1 << 17), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="the archive holds more than"):
        read_metadata(file.getvalue())


@settings(max_examples=300)
@given(st.data())
def test_damaged_metadata_is_read_or_refused(data: st.DataObject) -> None:
    made = bytearray(with_metadata(read("float"), TOLD))
    start = made.index(b"M001") - 4
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(start, len(made) - 1))
        made[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError):
        read_metadata(bytes(made))
