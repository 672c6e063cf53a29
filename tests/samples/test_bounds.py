"""Data of strangers: archives that swell, headers that lie, files that are something else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny_models import converted

from edgeshrink.errors import DataError
from edgeshrink.samples import load_dataset
from edgeshrink.samples.files import npz
from edgeshrink.tflite import count_samples, read_model, tensor_names


def header(text: str) -> bytes:
    """Return a .npy file with this header and ten zeros behind it."""
    line = (text.ljust(117) + "\n").encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(10)


def test_an_archive_that_swells_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        zeros = io.BytesIO()
        np.save(zeros, np.zeros((32 << 20, 1), np.uint8))
        archive.writestr("x.npy", zeros.getvalue())
    assert path.stat().st_size < 64 << 10
    with pytest.raises(DataError, match=r"looks like a zip bomb: x\.npy would unpack to over 1000"):
        load_dataset(str(path))


def test_what_memory_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.arange(100), y=np.arange(100) % 2)
    monkeypatch.setattr(npz, "available_bytes", lambda: 1000)
    with pytest.raises(DataError, match="1,000 bytes of memory are free"):
        load_dataset(str(path))
    np.savez(path, x=np.arange(100), y=np.arange(100) % 2)  # mapped, and read as it is needed
    assert load_dataset(str(path)).counts()["train"]


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (10",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|u1', 'fortran_order': 5, 'shape': (10,), }",
        "{'descr': 'bad', 'fortran_order': False, 'shape': (10,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (10,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999999999999,), }",
        "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
        "'''",
        "",
    ],
)
def test_headers_that_lie_are_sentences(tmp_path: Path, text: str) -> None:
    flat = read_model((converted() / "float.tflite").read_bytes())
    known = tensor_names(flat)[0]
    alone, inside = tmp_path / "a.npy", tmp_path / "d.npz"
    alone.write_bytes(header(text))
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("x.npy", header(text))
        archive.writestr("y.npy", header(text))
    with pytest.raises(DataError):
        count_samples(flat, dict.fromkeys(known, alone), known)
    with pytest.raises(DataError):
        load_dataset(str(inside))


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    flat = read_model((converted() / "float.tflite").read_bytes())
    known = tensor_names(flat)[0]
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 8, 8, 1), np.float32))
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    with pytest.raises(DataError, match=r"is an archive, not a \.npy file"):
        count_samples(flat, dict.fromkeys(known, tmp_path / "x.npy"), known)
