"""The runner on an emulated ARM64 machine: with numpy, and with LiteRT's library alone."""

from __future__ import annotations

import numpy as np
import pytest
from test_emulator import cache  # noqa: F401 - a fixture
from tiny_models import converted

from edgeshrink.devices.measurement import BenchPlan, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import EdgeshrinkError
from edgeshrink_litert.litert import LiteRT
from edgeshrink_targets.emulator.target import Emulator, Options
from edgeshrink_targets.local import Local

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.timeout(600)]
PLAN = BenchPlan("short", runs=3, seconds=0.05, warmup_seconds=0.0, profile=True)


@pytest.fixture(scope="module")
def machine(cache):  # noqa: F811
    """A Cortex-A72 with LiteRT and numpy."""
    with Emulator.connect("cortex-a72", Options()) as machine:
        try:
            LiteRT().setup(machine, profile(), lambda share, note: None)
        except EdgeshrinkError as error:
            if "out of reach" in str(error):
                pytest.skip(str(error))
            raise
        yield machine


def profile(**values):
    return DeviceProfile("pi", target="emulator", **values)


@pytest.fixture(params=["with numpy", "without numpy"])
def session(machine, request):
    wanted = profile()
    if request.param == "without numpy":
        find = f"ls {machine.cache()}/runtime-*/ai_edge_litert/libLiteRt.so"
        library = machine.run("sh", "-c", find).check().stdout.strip()
        # Nothing was installed for a Python of this name: it has only what Debian gave it.
        wanted = profile(python="/usr/bin/python3", options={"library": library})
    with LiteRT().open(machine, machine.folder(), wanted) as session:
        numpy = session.facts().numpy
        assert bool(numpy) == (request.param == "with numpy")
        yield session


def test_the_processor_is_named_and_known_to_be_emulated(session):
    facts = session.facts()
    assert (facts.cpu, facts.machine) == ("Cortex-A72", "aarch64")
    assert facts.emulated == "a qemu virtual machine"
    assert facts.runtime_version == "2.3.0"


@pytest.mark.parametrize("name", ["float", "int8"])
def test_outputs_are_those_of_this_machine(session, tmp_path, name):
    values = np.random.default_rng(0).random((40, 8, 8, 1), dtype=np.float32)
    np.save(tmp_path / "x.npy", values)
    inputs, model = {"image": tmp_path / "x.npy"}, converted() / f"{name}.tflite"
    with (
        Local.connect("", None) as here,
        LiteRT().open(here, here.folder(), DeviceProfile("here")) as host,
    ):
        expected = host.predict(model, inputs)["output_0"]
    found = session.predict(model, inputs)["output_0"]
    tolerance = 1e-5 if name == "float" else 1 / 256
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_times_and_layers_are_told(session):
    (result,) = session.time([converted() / "float.tflite"], PLAN)
    assert isinstance(result, Measurement)
    assert result.as_dict()["median_ms"] is None  # no time of a Cortex-A72
    assert 5e6 < result.peak_memory_bytes < 2e8
    layers = [operator.layer for operator in result.operators if operator.layer]
    assert layers == ["conv2d", "depthwise_conv2d", "dense"]
