"""Which runtime packages a device gets, and how they are fetched and packed by the real pip."""

from __future__ import annotations

import base64
import hashlib
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgeshrink.errors import CommandFailed, EdgeshrinkError
from edgeshrink_litert.installing import packages, wheels
from edgeshrink_litert.installing.packages import Choice, Machine, choose

PI5 = Machine(python=11, name="aarch64", glibc=(2, 36), free_bytes=10**10)
PROBED = {
    "system": "linux",
    "implementation": "cpython",
    "version": [3, 11],
    "machine": "aarch64",
    "bits": 64,
    "libc": "glibc 2.36",
    "free": 10**10,
    "numpy": "",
    "complete": True,
}


# ---- which


@pytest.mark.parametrize(
    ("device", "requirements"),
    [
        (PI5, ("ai-edge-litert==2.3.0", "numpy==2.2.6")),
        (replace(PI5, python=14), ("ai-edge-litert==2.3.0", "numpy==2.3.5")),
        (replace(PI5, glibc=(2, 27), python=10), ("ai-edge-litert==2.3.0", "numpy==2.2.6")),
        (replace(PI5, python=9), ("tflite-runtime==2.14.0", "numpy==1.26.4")),
        (replace(PI5, python=8, name="x86_64"), ("tflite-runtime==2.14.0", "numpy==1.24.4")),
        (replace(PI5, name="armv7l", numpy="1.24.2"), ("tflite-runtime==2.14.0",)),
        (replace(PI5, complete=False), ("ai-edge-litert==2.3.0",)),
        (replace(PI5, free_bytes=40_000_000), ("ai-edge-litert==2.3.0",)),
    ],
)
def test_a_device_gets_the_packages_that_work_there(
    device: Machine, requirements: tuple[str, ...]
) -> None:
    assert choose(device).requirements == requirements


@pytest.mark.parametrize(
    ("device", "message", "hint"),
    [
        (replace(PI5, python=7), "no runtime package for Python 3.7 on aarch64", "3.10 or newer"),
        (replace(PI5, python=9, glibc=(2, 31)), "glibc 2.34 on aarch64", "3.10 or newer"),
        (replace(PI5, name="armv6l"), "no runtime package for Python 3.11 on armv6l", ""),
        (replace(PI5, name="i686"), "a 64-bit processor", ""),
        (replace(PI5, glibc=None), "need the GNU C library", "distribution with glibc"),
        (replace(PI5, name="armv7l"), "numpy, which has no packages", "apt install python3-numpy"),
        (replace(PI5, name="armv7l", numpy="2.1.0"), "works with numpy 1; the device has 2.1", ""),
        (replace(PI5, free_bytes=10_000_000), "needs 15,000,000 bytes on the device", "clean"),
    ],
)
def test_a_device_without_packages_is_told_why(device: Machine, message: str, hint: str) -> None:
    with pytest.raises(CommandFailed, match=message) as caught:
        choose(device)
    assert hint in caught.value.hint


def test_wheels_may_be_as_new_as_the_devices_c_library_and_no_newer() -> None:
    tags = choose(replace(PI5, glibc=(2, 28))).platforms
    assert tags[0] == "manylinux_2_28_aarch64"
    assert "manylinux_2_29_aarch64" not in tags
    assert tags[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"machine": "aarch64", "bits": 32}, "armv7l"),
        ({"machine": "armv8l", "bits": 32}, "armv7l"),
        ({"machine": "x86_64", "bits": 32}, "i686"),
        ({"machine": "arm64"}, "aarch64"),
    ],
)
def test_what_counts_is_what_python_was_built_for(said: dict[str, object], name: str) -> None:
    assert packages.machine({**PROBED, **said}).name == name


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"system": "darwin"}, "has cpython on darwin"),
        ({"implementation": "pypy"}, "has pypy on linux"),
        ({"version": [2, 7]}, "Python is 2.7, too old"),
        ({"version": "3.11"}, "not understood"),
        ({"free": "much"}, "not understood"),
        ({"machine": None, "bits": None}, "not understood"),
        ({"bits": float("inf")}, "not understood"),
        ({"own": ["2.3.0"]}, "it.own must be an object"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(said: dict[str, object], message: str) -> None:
    with pytest.raises(CommandFailed, match=message):
        packages.machine({**PROBED, **said})


def test_a_c_library_that_is_not_gnus_is_seen() -> None:
    assert packages.machine({**PROBED, "libc": ""}).glibc is None
    assert packages.machine({**PROBED, "libc": "glibc 2.36"}).glibc == (2, 36)


# ---- fetched and packed


def make_wheel(path: Path, files: dict[str, bytes], *, damage: str = "") -> Path:
    """Write a wheel as pip wants it, whose record has another digest for the file `damage`."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n",
    }
    rows = []
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, content in files.items():
            digest = hashlib.sha256(b"other" if inside == damage else content).digest()
            coded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            rows.append(f"{inside},sha256={coded},{len(content)}")
            wheel.writestr(inside, content)
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


LITERT_FILES = {
    "ai_edge_litert/__init__.py": b"",
    "ai_edge_litert/interpreter.py": b"",
    "ai_edge_litert/libLiteRt.so": b"library",
    "ai_edge_litert/libpywrap_litert_common.so": b"interpreter",
    "ai_edge_litert/_pywrap_litert_interpreter_wrapper.so": b"interpreter",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so": b"gpu",
    "ai_edge_litert/aot/aot_compile.py": b"",
    "ai_edge_litert/vendors/qualcomm/compiler/x.so": b"npu",
    "ai_edge_litert/schema_py_generated.py": b"",
    "ai_edge_litert/interpreter.pyi": b"",
}
NUMPY_FILES = {
    "numpy/__init__.py": b"",
    "numpy/tests/test_all.py": b"",
    "numpy/linalg/tests/__init__.py": b"",
    "numpy/_core/include/numpy/x.h": b"",
    "numpy/testing/__init__.py": b"",
    "numpy.libs/libopenblas.so": b"blas",
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for all the packages of the world."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder / "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl", LITERT_FILES)
    make_wheel(folder / "numpy-2.2.6-cp311-cp311-manylinux_2_17_aarch64.whl", NUMPY_FILES)
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def quiet(share: float, note: str) -> None:
    assert 0 <= share <= 1


def names_in(bundle: wheels.Bundle) -> set[str]:
    with tarfile.open(bundle.archive) as tar:
        return set(tar.getnames())


def test_a_bundle_has_what_the_runner_needs_and_no_more(index: Path) -> None:
    found = wheels.bundle(choose(PI5), quiet)
    assert {name for name in names_in(found) if ".dist-info/" not in name} == {
        "ai_edge_litert/__init__.py",
        "ai_edge_litert/interpreter.py",
        "ai_edge_litert/libLiteRt.so",
        "ai_edge_litert/libpywrap_litert_common.so",
        "ai_edge_litert/_pywrap_litert_interpreter_wrapper.so",
        "numpy/__init__.py",
        "numpy/testing/__init__.py",
        "numpy.libs/libopenblas.so",
    }
    assert [(p["name"], p["version"]) for p in found.packages] == [
        ("ai-edge-litert", "2.3.0"),
        ("numpy", "2.2.6"),
    ]
    wheel = next(index.glob("numpy*"))
    assert found.packages[1]["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_without_numpy_only_the_c_library_is_left(index: Path) -> None:
    names = names_in(wheels.bundle(choose(replace(PI5, complete=False)), quiet))
    assert {name for name in names if name.endswith(".so")} == {"ai_edge_litert/libLiteRt.so"}


def test_the_gpu_accelerator_is_kept_where_it_is_used(index: Path) -> None:
    wheel = make_wheel(
        index / "ml_dtypes-0.5.4-cp311-cp311-manylinux_2_17_aarch64.whl", {"ml_dtypes/x.py": b""}
    )
    found = wheels.bundle(choose(PI5, gpu=True), quiet)
    assert "ai_edge_litert/libLiteRtWebGpuAccelerator.so" in names_in(found)
    assert found.packages[1]["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_equal_wheels_give_equal_bytes(index: Path, tmp_path: Path) -> None:
    first = wheels.bundle(choose(PI5), quiet).archive.read_bytes()
    (tmp_path / "cache" / "edgeshrink").rename(tmp_path / "old")
    assert wheels.bundle(choose(PI5), quiet).archive.read_bytes() == first


def test_a_bundle_that_is_kept_needs_no_index_until_it_is_damaged(index: Path) -> None:
    found = wheels.bundle(choose(PI5), quiet)
    hidden = index.rename(index.with_name("hidden"))
    assert wheels.bundle(choose(PI5), quiet) == found
    found.archive.write_bytes(found.archive.read_bytes()[:-1])
    with pytest.raises(EdgeshrinkError, match="cannot be fetched"):
        wheels.bundle(choose(PI5), quiet)
    hidden.rename(index)
    assert wheels.bundle(choose(PI5), quiet) == found


def test_a_package_that_is_not_there_is_told(index: Path) -> None:
    next(index.glob("numpy*")).unlink()
    with pytest.raises(EdgeshrinkError, match=r"numpy==2\.2\.6 cannot be fetched: No matching"):
        wheels.bundle(choose(PI5), quiet)
    assert [p.name for p in wheels.folder().iterdir()] == [".edgeshrink"]  # our mark


def test_a_wheel_that_is_not_as_recorded_is_refused(index: Path) -> None:
    make_wheel(next(index.glob("numpy*")), NUMPY_FILES, damage="numpy/__init__.py")
    with pytest.raises(EdgeshrinkError, match="is damaged: numpy/__init__"):
        wheels.bundle(choose(PI5), quiet)


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "numpy/../../outside.py"])
def test_a_wheel_with_files_outside_its_folder_is_refused(index: Path, name: str) -> None:
    make_wheel(next(index.glob("numpy*")), {name: b"x"})
    with pytest.raises(EdgeshrinkError, match="outside its folder"):
        wheels.bundle(choose(PI5), quiet)


def test_without_a_connection_the_user_is_told_to_connect_once(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    with pytest.raises(EdgeshrinkError, match="the package index is out of reach") as caught:
        wheels.bundle(choose(PI5), quiet)
    assert "connect this machine once" in caught.value.hint


def test_different_choices_have_different_names() -> None:
    choices: list[Choice] = [
        choose(PI5),
        choose(replace(PI5, python=12)),
        choose(replace(PI5, name="x86_64")),
        choose(replace(PI5, complete=False)),
        choose(PI5, gpu=True),
    ]
    assert len({wheels.digest(choice) for choice in choices}) == len(choices)
