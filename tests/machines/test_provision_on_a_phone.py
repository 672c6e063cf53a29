"""LiteRT is installed for the Python of an Android-like root, through the real adb, and runs."""

from __future__ import annotations

import pytest
from test_bundle import installed, place  # noqa: F401 - fixtures

from edgeshrink import plugins
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.measuring.sessions import host_session
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.selftest import checks as selftest
from edgeshrink_litert.installing import provision
from edgeshrink_litert.litert import LiteRT
from edgeshrink_targets.adb.target import Adb

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.timeout(600)]
PROFILE = DeviceProfile("phone", target="adb")


@pytest.fixture
def phone(installed: Adb) -> Adb:  # noqa: F811
    """The phone without a runtime, and with a tool that Android has."""
    installed.run("/system/bin/busybox", "ln", "-sf", "busybox", "/system/bin/env").check()
    installed.run("sh", "-c", f"rm -rf {installed.cache()}/runtime-*").check()
    return installed


@pytest.mark.parametrize("room", ["much", "little"])
def test_a_phone_gives_the_outputs_of_this_machine(
    phone: Adb, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if room == "little":
        said = "free = lambda path: 40000000\nprint(json.dumps({"
        patched = provision.PROBE.replace("print(json.dumps({", said)
        monkeypatch.setattr(provision, "PROBE", patched)
    try:
        told = provision.setup(phone, PROFILE, lambda share, note: None)
    except EdgeshrinkError as error:
        if "out of reach" in str(error):
            pytest.skip(str(error))
        raise
    assert told[-1].startswith("for Python 3.11 on aarch64: ")
    numpy = [line for line in told if line.startswith("numpy 2.")]
    assert len(numpy) == (1 if room == "much" else 0)
    with (
        LiteRT().open(phone, phone.folder(), PROFILE) as session,
        host_session(plugins.installed()) as host,
        selftest.samples() as inputs,
    ):
        info = session.facts()
        name = "ai-edge-litert" if room == "much" else "LiteRT C library"
        assert (info.runtime, info.runtime_version, info.machine) == (name, "2.3.0", "aarch64")
        for model in selftest.MODELS:
            said = selftest.compare(session, host, PROFILE, inputs, model)
            assert said.startswith("16 samples as on this machine")
