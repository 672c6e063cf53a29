"""The runner on a GPU: a real Vulkan driver, which computes on the processor and says so."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tiny_models import converted, recurrent, written

from edgeshrink.devices.measurement import BenchPlan, Failure, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import CommandFailed, ProfileError
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.measured import software_adapter
from edgeshrink_targets.local import Local

pytestmark = pytest.mark.device

CACHE = Path.home() / ".cache" / "edgeshrink-tests" / "swiftshader"
PACKAGES = ("chromium", "chromium-common")
FILES = ("libvk_swiftshader.so", "vk_swiftshader_icd.json")
SHORT = BenchPlan("short", runs=5, seconds=0.05, warmup_seconds=0.0, profile=True)


def fetch(folder):
    """Put SwiftShader, which Debian ships in its packages of Chromium, into a folder."""
    for program in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(program) is None:
            pytest.skip(f"SwiftShader comes from Debian's packages, and there is no {program}")
    done = subprocess.run(
        ["apt-get", "download", *PACKAGES], cwd=folder, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"Debian's chromium cannot be fetched: {done.stderr.strip()[-200:]}")
    for package in folder.glob("*.deb"):
        opened = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
        )
        names = [f"*/{name}" for name in FILES]
        subprocess.run(
            ["tar", "-x", "--wildcards", "--transform", "s#.*/##", *names],
            stdin=opened.stdout,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            check=False,
        )
        opened.stdout.close()
        opened.wait()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The Vulkan driver's description, fetched once for each user."""
    if ctypes.util.find_library("vulkan") is None:
        pytest.skip("there is no libvulkan.so.1 (Debian: libvulkan1)")
    if not all((CACHE / name).is_file() for name in FILES):
        folder = tmp_path_factory.mktemp("chromium")
        fetch(folder)
        if not all((folder / name).is_file() for name in FILES):
            pytest.skip("Debian's chromium holds no SwiftShader")
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(folder / name, CACHE / f"{name}.{os.getpid()}")
            (CACHE / f"{name}.{os.getpid()}").replace(CACHE / name)
    return CACHE / FILES[1]


@pytest.fixture(scope="module")
def session(driver):
    with pytest.MonkeyPatch.context() as patch, Local.connect("", None) as target:
        patch.setenv("VK_ICD_FILENAMES", str(driver))
        with opened(target, accelerator="gpu") as session:
            yield session


@pytest.fixture(scope="module")
def processor():
    with Local.connect("", None) as target, opened(target) as session:
        yield session


def opened(device, **profile):
    return LiteRT().open(device, device.folder(), DeviceProfile("desktop", **profile))


def samples(folder, count=12):
    values = np.random.default_rng(0).random((count, 8, 8, 1), dtype=np.float32)
    np.save(folder / "x.npy", values)
    return {"image": folder / "x.npy"}


def test_the_adapter_is_named_and_a_software_one_is_no_gpu(session):
    facts = session.facts()
    assert facts.adapter.startswith("SwiftShader Device")
    assert facts.emulated == f"software adapter: {facts.adapter}"


@pytest.mark.parametrize(("name", "tolerance"), [("float", 1e-5), ("int8", 2 / 256)])
def test_outputs_are_those_of_the_processor(session, processor, tmp_path, name, tolerance):
    model, inputs = converted() / f"{name}.tflite", samples(tmp_path)
    found, facts = session.predict_with_facts(model, inputs)
    expected = processor.predict(model, inputs)["output_0"]
    assert facts["how"] == "one by one"
    np.testing.assert_allclose(found["output_0"], expected, rtol=0, atol=tolerance)


def test_two_inputs_go_where_their_names_say(session, processor, tmp_path):
    random = np.random.default_rng(0)
    for name, size in (("left", 4), ("right", 3)):
        np.save(tmp_path / f"{name}.npy", random.random((5, size), dtype=np.float32))
    inputs = {name: tmp_path / f"{name}.npy" for name in ("right", "left")}
    found, expected = (
        s.predict(converted() / "pair.tflite", inputs)["output_0"] for s in (session, processor)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_times_are_those_of_the_adapter(session, tmp_path):
    stateful = tmp_path / "recurrent.tflite"
    stateful.write_bytes(written(recurrent))
    result, refused = session.time([converted() / "float.tflite", stateful], SHORT)
    assert isinstance(result, Measurement)
    assert len(result.samples_ns) >= 5
    assert result.kernels == "gpu"
    assert result.device.adapter.startswith("SwiftShader")
    assert result.as_dict()["median_ms"] is None  # no time of a GPU
    assert "this runtime gives no time by operator" in result.notes[-1]
    assert isinstance(refused, Failure)
    assert refused.reason == "a model that keeps state between runs is not run on a GPU"


def test_without_a_driver_nothing_is_run(monkeypatch, tmp_path):
    (tmp_path / "none.json").write_text("{}")
    monkeypatch.setenv("VK_ICD_FILENAMES", str(tmp_path / "none.json"))
    with (
        Local.connect("", None) as target,
        pytest.raises(CommandFailed, match=r"no GPU that LiteRT can use: .*No adapters found"),
    ):
        opened(target, accelerator="gpu")


def test_what_litert_is_not_driven_on_is_refused():
    with (
        Local.connect("", None) as target,
        pytest.raises(ProfileError, match="on a cpu or a gpu; received 'npu'"),
    ):
        opened(target, accelerator="npu")


@pytest.mark.parametrize(
    ("adapter", "software"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("SwiftShader Device (Subzero), adapterType=CPU / Software", True),
        ("NVIDIA GeForce RTX 3060, vendor=nvidia, adapterType=DiscreteGPU", False),
        ("", False),
    ],
)
def test_software_adapters_are_known(adapter, software):
    assert bool(software_adapter(adapter)) == software
