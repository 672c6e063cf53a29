"""Files are there whole or not at all, whoever else writes them, and whatever the disk answers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from edgeshrink.models import (
    PREFIX,
    bytes_in,
    file_digest,
    make_ours,
    marked,
    mend,
    read_arrays,
    read_sealed,
    unchanged,
    write_arrays,
    write_bytes,
    write_npy,
    write_part,
    write_sealed,
    write_text,
)
from edgeshrink.models.places import MARK
from edgeshrink.models.write_faults import VARIABLE, WriteFault, install

ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EROFS]


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("moment", ["before", "middle"])
def test_a_refused_write_names_the_file_and_leaves_what_was_there(
    tmp_path: Path, number: int, moment: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"as it was")
    install(WriteFault(str(tmp_path / "log"), 1, moment, number))
    try:
        with pytest.raises(OSError, match="file") as told:
            write_bytes(path, bytes(1000))
    finally:
        install(None)
    assert (told.value.errno, told.value.filename, told.value.needed) == (number, str(path), 1000)
    assert path.read_bytes() == b"as it was"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "log"]


@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_what_a_killed_process_left_is_removed_by_the_next_writer(
    tmp_path: Path, moment: str
) -> None:
    fault = f'{{"log": "{tmp_path / "log"}", "at": 1, "moment": "{moment}"}}'
    code = "import sys, pathlib, edgeshrink.models as m; m.write_text(pathlib.Path('file'), 'new')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, VARIABLE: fault}, check=False
    )
    assert done.returncode == -9
    left = [p.name for p in tmp_path.iterdir() if p.name.startswith(".edgeshrink")]
    assert len(left) == (moment == "middle")
    write_text(tmp_path / "file", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "log"]
    assert (tmp_path / "file").read_text() == "whole"


def _write(path: Path) -> int:
    for number in range(8):
        write_bytes(path, bytes([number]) * 10_000)
    return 1


@pytest.mark.heavy
def test_sixteen_processes_write_one_file(tmp_path: Path) -> None:
    with ProcessPoolExecutor(16, mp_context=get_context("forkserver")) as pool:
        assert sum(pool.map(_write, [tmp_path / "file"] * 16)) == 16
    assert len(set((tmp_path / "file").read_bytes())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "said",
    [
        RuntimeError("file write failed: time = now, errno = 28, error message = '...'"),
        RuntimeError("ResourceExhausted: a/b.data; No space left on device"),
        OSError("Can't write data (file write failed: errno = 28)"),
    ],
)
def test_a_full_disk_is_one_error_however_libraries_say_it(tmp_path: Path, said: Exception) -> None:
    with pytest.raises(OSError, match="No space") as told, write_part(tmp_path / "f.keras"):
        raise said
    assert told.value.errno == errno.ENOSPC


def test_another_files_error_stays_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told, write_part(tmp_path / "file"):
        (tmp_path / "other").read_bytes()
    assert told.value.filename == str(tmp_path / "other")


def test_batches_make_the_file_that_numpy_reads(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(4, 3, 2)
    write_npy(tmp_path / "a.npy", [values[:3], values[3:]], 4)
    assert np.array_equal(np.load(tmp_path / "a.npy"), values)
    with pytest.raises(ValueError, match="followed"):
        write_npy(tmp_path / "a.npy", [values[:3], values[3:, :2]], 4)
    with pytest.raises(ValueError, match="4 samples were to come; 3 came"):
        write_npy(tmp_path / "a.npy", [values[:3]], 4)


def test_a_full_disk_is_an_error_and_no_signal(tmp_path: Path) -> None:
    code = (
        "import resource, signal, pathlib, numpy as np\n"
        "from edgeshrink.models import write_npy\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "write_npy(pathlib.Path('a.npy'), [np.zeros((100, 100))], 100)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "File too large: 'a.npy'" in done.stderr
    assert list(tmp_path.iterdir()) == []


ARRAYS = {"a/b": np.arange(5.0), "file": np.zeros((2, 0)), "Ω": np.array(3)}


def test_sealed_files_come_back_as_they_were(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert np.load(tmp_path / "a.npz")["Ω"] == 3  # an .npz like any other
    write_sealed(tmp_path / "a.json", {"x": [1, 2.5], "y": {"z": None}})
    assert read_sealed(tmp_path / "a.json") == {"x": [1, 2.5], "y": {"z": None}}


def test_no_byte_of_a_sealed_file_can_change(tmp_path: Path) -> None:
    for path in (tmp_path / "a.npz", tmp_path / "a.json"):
        write_arrays(path, ARRAYS) if path.suffix == ".npz" else write_sealed(path, {"x": [1, "y"]})
        read = read_arrays if path.suffix == ".npz" else read_sealed
        whole, spaces = path.read_bytes(), b" \n"
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            same = path.suffix == ".json" and whole[place : place + 1] in spaces
            assert same or read(path) is None, place
            path.write_bytes(whole[:place])
            assert read(path) is None or (path.suffix == ".json" and place == len(whole) - 1)


@pytest.mark.parametrize("text", ["", "[]", "1", "null", '"x"', "{}", '{"seal": 1}', "[" * 10**5])
def test_other_json_is_missing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert read_sealed(tmp_path / "a.json") is None


def test_a_cache_is_mended_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    names = [letter * 24 for letter in "abcd"]
    write_sealed(tmp_path / f"{names[0]}.json", {"x": 1})
    (tmp_path / f"{names[1]}.npz").write_bytes(b"junk")
    (tmp_path / f"{names[2]}.json").mkdir()
    (tmp_path / "mine.npz").write_bytes(b"junk")
    (tmp_path / ".edgeshrink-0123-1-0.part").write_bytes(b"junk")
    told: list[Path] = []
    mend(tmp_path, told.append)
    assert [p.name for p in told] == [f"{names[1]}.npz", f"{names[2]}.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{names[0]}.json", "mine.npz"]


def test_a_folder_whose_marking_was_cut_short_is_ours(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}0123-1-0.part").write_text("half")
    make_ours(tmp_path)
    assert marked(tmp_path)
    (tmp_path / MARK).unlink()
    (tmp_path / MARK).mkdir()
    make_ours(tmp_path)
    assert marked(tmp_path)


def test_a_folder_with_other_things_in_it_is_never_ours(tmp_path: Path) -> None:
    make_ours(tmp_path / "new")
    assert marked(tmp_path / "new")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    assert not marked(tmp_path / "link")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").write_text("mine")
    make_ours(tmp_path / "used")
    assert not marked(tmp_path / "used")
    assert bytes_in(tmp_path / "used") == 4


def test_only_what_lies_in_the_folder_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    for place in ("in/a/x", "out"):
        (tmp_path / place).write_bytes(b"x")
    digest = file_digest(tmp_path / "out")
    assert unchanged(tmp_path / "in", {"a/x": digest})
    for name in ("../out", str(tmp_path / "out"), "a/../../out", "a\x00b", "none"):
        assert not unchanged(tmp_path / "in", {name: digest}), name
