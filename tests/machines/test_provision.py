"""A runtime is installed over ssh, on a device whose Python has nothing installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeshrink.devices.measurement import RULES, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.measuring.sessions import host_profile, open_session
from edgeshrink.errors import CommandFailed, EdgeshrinkError
from edgeshrink.plugins import installed
from edgeshrink.selftest import checks as selftest
from edgeshrink_litert.installing import provision
from edgeshrink_litert.litert import LiteRT
from edgeshrink_targets.ssh.target import Ssh

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(sys.platform != "linux", reason="the device is this machine: needs Linux"),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python without any package, pip included."""
    folder = tmp_path_factory.mktemp("python")
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this machine keeps what it fetches, for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("fetched")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture
def device(server: Any, fetched: Path) -> Iterator[Ssh]:
    with Ssh.connect("ssh:device", server.options()) as target:
        yield target


def setup(target: Ssh, profile: DeviceProfile) -> list[str]:
    """Install, or skip the test where the packages are out of reach."""
    shares: list[float] = []
    try:
        said = provision.setup(target, profile, lambda share, note: shares.append(share))
    except EdgeshrinkError as error:
        if "out of reach" in str(error):
            pytest.skip(str(error))
        raise
    assert shares == sorted(shares)
    return said


def old_python(minor: int) -> str:
    """Return another Python of this machine, without packages; the test is skipped if none is."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    found = sorted(map(str, versions.glob(f"3.{minor}.*/bin/python3")))
    path = found[-1] if found else shutil.which(f"python3.{minor}")
    if path is None:
        pytest.skip(f"there is no Python 3.{minor} on this machine")
    return path


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have devices say that they have little room, so that they get the C library alone."""
    said = "free = lambda path: 40000000\nprint(json.dumps({"
    monkeypatch.setattr(provision, "PROBE", provision.PROBE.replace("print(json.dumps({", said))


def outputs(session: Any, tmp_path: Path) -> np.ndarray:
    samples = np.random.default_rng(0).random((64, 8, 8, 1), np.float32)
    np.save(tmp_path / "samples.npy", samples)
    found = session.predict(selftest.HERE / "float.tflite", {"image": tmp_path / "samples.npy"})
    return next(iter(found.values()))


def run_there(target: Ssh, profile: DeviceProfile, tmp_path: Path) -> tuple[str, np.ndarray]:
    """Run a model there; return the runtime and the outputs."""
    with LiteRT().open(target, target.folder(), profile) as session:
        (timed,) = session.time([selftest.HERE / "float.tflite"], RULES["smoke"])
        assert isinstance(timed, Measurement), timed
        info = session.facts()
        return f"{info.runtime} {info.runtime_version}", outputs(session, tmp_path)


def test_a_python_with_nothing_gets_a_runtime_that_gives_the_same_outputs(
    device: Ssh, python: str, tmp_path: Path
) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    assert provision.launch(device, profile) == (python, "-B")
    said = setup(device, profile)
    assert said[0].startswith("ai-edge-litert 2.3.0 (sha256 ")
    assert said[1].startswith("numpy 2.")
    env, path, bytecode, interpreter = provision.launch(device, profile)
    assert (env, interpreter) == ("env", python)
    assert bytecode == f"PYTHONPYCACHEPREFIX={path.partition('=')[2]}/bytecode"
    assert path.startswith(f"PYTHONPATH={device.cache()}/runtime-")
    runtime, found = run_there(device, profile, tmp_path)
    assert runtime == "ai-edge-litert 2.3.0"
    with open_session(host_profile(), installed()) as host:
        np.testing.assert_allclose(found, outputs(host, tmp_path), atol=1e-5)


def test_a_second_time_it_only_checks(device: Ssh, python: str, server: Any, tight: None) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    setup(device, profile)
    before = server.files()
    assert len([name for name in before if re.fullmatch(r"runtime-[^/]*", name)]) == 2
    (said,) = setup(device, profile)
    assert said.endswith("already there")
    assert server.files() == before


def test_what_was_broken_is_installed_again(
    device: Ssh, python: str, server: Any, tight: None
) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    setup(device, profile)
    (library,) = server.cache.glob("runtime-*/ai_edge_litert/libLiteRt.so")
    library.write_bytes(b"no library")
    assert setup(device, profile)[0].startswith("ai-edge-litert 2.3.0 (sha256 ")
    assert library.stat().st_size > 1_000_000


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b'{"folder": 1}',
        b'{"folder": "../../../etc"}',
        b'{"folder": "runtime-0123456789abcdef; reboot"}',
        b"\xff" * 70000,
    ],
)
def test_a_record_that_cannot_be_trusted_is_none(
    device: Ssh, python: str, tmp_path: Path, record: bytes
) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    (tmp_path / "record").write_bytes(record)
    device.push(tmp_path / "record", provision.record_path(device, profile))
    assert provision.launch(device, profile) == (python, "-B")


def test_unpacking_that_fails_leaves_nothing(
    device: Ssh, python: str, server: Any, tight: None
) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    server.shim("tar", "#!/bin/sh\nmkdir -p \"$4/half\"\necho 'No space left' >&2\nexit 2\n")
    with pytest.raises(CommandFailed, match="No space left"):
        setup(device, profile)
    assert [name for name in server.files() if name.startswith("runtime")] == []
    assert provision.launch(device, profile) == (python, "-B")


def test_what_cannot_be_imported_is_not_believed(
    device: Ssh, python: str, server: Any, tight: None
) -> None:
    server.shim(
        "tar", '#!/bin/sh\n/usr/bin/tar "$@" && echo damaged >"$4"/ai_edge_litert/libLiteRt.so\n'
    )
    with pytest.raises(CommandFailed, match="cannot be imported on the device: OSError"):
        setup(device, DeviceProfile("mine", target="ssh", python=python))
    assert [name for name in server.files() if name.startswith("runtime")] == []


@pytest.mark.slow
def test_an_older_python_gets_tflite_runtime(device: Ssh, tmp_path: Path) -> None:
    profile = DeviceProfile("old", target="ssh", python=old_python(9))
    said = setup(device, profile)
    assert {line.split(" (")[0] for line in said[:2]} == {"numpy 1.26.4", "tflite-runtime 2.14.0"}
    runtime, found = run_there(device, profile, tmp_path)
    assert runtime == "tflite-runtime 2.14.0"
    with open_session(host_profile(), installed()) as host:
        np.testing.assert_allclose(found, outputs(host, tmp_path), atol=1e-5)


def test_a_python_that_is_too_old_is_told(device: Ssh) -> None:
    profile = DeviceProfile("old", target="ssh", python=old_python(7))
    with pytest.raises(CommandFailed, match=r"no runtime package for Python 3\.7"):
        setup(device, profile)


def test_a_device_without_room_gets_the_c_library_alone(
    device: Ssh, python: str, tmp_path: Path, tight: None
) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    said = setup(device, profile)
    assert [line.split(" ")[0] for line in said] == ["ai-edge-litert", "for"]
    runtime, found = run_there(device, profile, tmp_path)
    assert runtime == "LiteRT C library 2.3.0"
    with open_session(host_profile(), installed()) as host:
        np.testing.assert_allclose(found, outputs(host, tmp_path), atol=1e-5)


@pytest.mark.parametrize(
    "answer", ["", "no JSON", "[1]", "{}", "null", '{"version": "x"}', "[" * 100_000]
)
def test_an_answer_of_nonsense_is_an_error_of_the_device(
    device: Ssh, tmp_path: Path, answer: str
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho '{answer}'\n")
    fake.chmod(0o755)
    with pytest.raises(CommandFailed, match="an answer that is not understood"):
        setup(device, DeviceProfile("mine", target="ssh", python=str(fake)))


def test_a_python_that_is_not_there_is_told(device: Ssh) -> None:
    with pytest.raises(CommandFailed, match="/no/python cannot be started") as caught:
        setup(device, DeviceProfile("mine", target="ssh", python="/no/python"))
    assert "python = " in caught.value.hint


def test_a_runtime_of_the_devices_own_is_left_alone(device: Ssh, server: Any) -> None:
    profile = DeviceProfile("mine", target="ssh", python=sys.executable)
    (said,) = setup(device, profile)
    assert "already there, among the device's own packages" in said
    assert provision.launch(device, profile) == (sys.executable, "-B")
    assert [name for name in server.files() if name.startswith("runtime")] == []


def test_the_record_says_what_is_installed_until_it_is_cleaned_away(
    device: Ssh, python: str, server: Any, tight: None
) -> None:
    profile = DeviceProfile("mine", target="ssh", python=python)
    setup(device, profile)
    (path,) = server.cache.glob("runtime-*.json")
    told = json.loads(path.read_text())
    assert (server.cache / told["folder"] / "ai_edge_litert").is_dir()
    assert [p["name"] for p in told["packages"]] == ["ai-edge-litert"]
    assert all(len(p["sha256"]) == 64 for p in told["packages"])
    assert device.clean() > 5_000_000
    assert provision.launch(device, profile) == (python, "-B")
