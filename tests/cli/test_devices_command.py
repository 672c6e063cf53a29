"""The commands of `edgeshrink devices`, as far as they need no device."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.devices.runtime import Session
from edgeshrink.engine.measuring.sessions import host_profile, open_session
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.plugins import installed
from edgeshrink.selftest import checks as selftest

Run = Callable[..., subprocess.CompletedProcess[str]]
# Nobody listens there, and ssh says so at once.
NOBODY = "ssh://somebody@127.0.0.1:9"


@pytest.fixture
def devices(edgeshrink: Run, tmp_path: Path) -> Run:
    def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        return edgeshrink("devices", *argv, XDG_CONFIG_HOME=str(tmp_path / "config"), **env)

    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of the user's own profiles."""
    return tmp_path / "config" / "edgeshrink" / "device_profiles"


def test_list_names_all_devices_with_what_runs_models_and_where(devices: Run) -> None:
    done = devices("list")
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 0
    assert "ssh://pi@raspberrypi.local" in rows["rpi4"]
    assert " gpu " in rows["desktop-gpu"]
    assert rows["pixel-8"].rstrip().endswith("android")


def test_list_and_show_give_json(devices: Run) -> None:
    listed = {one["name"]: one for one in json.loads(devices("list", "--json").stdout)}
    shown = json.loads(devices("show", "rpi-32bit", "--json").stdout)
    assert shown == listed["rpi-32bit"]
    assert (shown["based_on"], shown["reader"]) == ("rpi3", "tflite-runtime")


def test_show_says_what_the_runtime_knows_of_operators(devices: Run, own: Path) -> None:
    own.mkdir(parents=True)
    (own / "old.toml").write_text('based_on = "rpi3"\n[operators]\nFULLY_CONNECTED = 11\n')
    said = devices("show", "old").stdout
    assert "  based on: rpi3\n" in said
    assert "  operators, FULLY_CONNECTED: 11\n" in said


def test_add_writes_a_profile_that_can_be_shown_though_the_device_is_off(
    devices: Run, own: Path
) -> None:
    done = devices("add", "mypi", "--at", NOBODY, "--like", "rpi4", "--python", "/opt/python")
    assert done.returncode == 0, done.stderr
    assert f"mypi: {NOBODY}\n– based on rpi4\n– not reached now: " in done.stdout
    assert done.stdout.endswith("– next: edgeshrink devices setup mypi\n")
    assert (own / "mypi.toml").read_text() == (
        f'based_on = "rpi4"\ntarget = "ssh"\naddress = "{NOBODY}"\npython = "/opt/python"\n'
    )
    shown = json.loads(devices("show", "mypi", "--json").stdout)
    assert (shown["title"], shown["address"]) == ("Raspberry Pi 4 B, 64-bit Linux", NOBODY)


def test_add_without_like_needs_the_device(devices: Run, own: Path) -> None:
    done = devices("add", "mypi", "--at", NOBODY)
    assert done.returncode == 3
    assert "error: the device cannot be asked what it is: " in done.stderr
    assert not own.exists()


def test_add_keeps_the_ssh_configuration_by_its_whole_path(
    devices: Run, own: Path, tmp_path: Path
) -> None:
    (tmp_path / "my config").write_text("Host *\n  Port 9\n  HostName 127.0.0.1\n")
    done = devices("add", "a", "--at", "ssh:x", "--like", "rpi5", "--ssh-config", "my config")
    assert done.returncode == 0, done.stderr
    connection = json.loads(devices("show", "a", "--json").stdout)["connection"]
    assert connection == {"config": str(tmp_path / "my config")}


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (("a", "--at", "shh://x"), "an address begins with the target's name", "'ssh:'"),
        (("a", "--at", "pi@x"), "an address begins with the target's name", ""),
        (("a", "--at", "adb:1", "--like", "rpi4"), "rpi4 is reached by ssh; received", "ssh:"),
        (("a", "--at", "ssh:x", "--like", "desktop"), "desktop is this machine, which", ""),
        (("a", "--at", "ssh:x", "--like", "rpi9"), "no device profile 'rpi9'", "'rpi5'"),
        (("a", "--at", "local:"), "the local target takes no address", ""),
        (
            ("a", "--at", "ssh://-oProxyCommand=x", "--like", "rpi4"),
            "an ssh address names a host",
            "",
        ),
        (
            ("a", "--at", "ssh://u:secret@x", "--like", "rpi4"),
            "an ssh address holds no password",
            "",
        ),
        (("../a", "--at", NOBODY, "--like", "rpi4"), "a device's name has letters", ""),
        (("rpi4", "--at", NOBODY, "--like", "rpi5"), "there is a device 'rpi4' already", "another"),
        (("rpi4", "--at", NOBODY, "--like", "rpi4", "--force"), "there is a device 'rpi4'", ""),
        (("a", "--at", "adb:1", "--ssh-config", "x"), "--ssh-config goes with an address of", ""),
        (("a", "--at", NOBODY, "--ssh-config", "none"), "no ssh configuration file 'none'", ""),
    ],
)
def test_add_refuses_what_cannot_be(
    devices: Run, own: Path, argv: tuple[str, ...], message: str, hint: str
) -> None:
    done = devices("add", *argv)
    assert (done.returncode, message in done.stderr, hint in done.stderr) == (2, True, True), (
        done.stderr
    )
    assert "secret" not in done.stderr
    assert not own.exists()


def test_add_replaces_a_device_of_ones_own_by_force_alone(devices: Run, own: Path) -> None:
    argv = ("add", "mypi", "--at", NOBODY, "--like")
    assert devices(*argv, "rpi4").returncode == 0
    refused = devices(*argv, "rpi5")
    assert (refused.returncode, "hint:  --force replaces it" in refused.stderr) == (2, True)
    assert devices(*argv, "rpi5", "--force").returncode == 0
    assert (own / "mypi.toml").read_text().startswith('based_on = "rpi5"')


@pytest.mark.parametrize("command", ["setup", "selftest", "clean"])
def test_an_unreachable_device_ends_with_3(devices: Run, command: str) -> None:
    done = devices(command, "rpi4", "--at", NOBODY)
    assert (done.returncode, done.stdout) == (3, "")
    assert "error: " in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("setup", "rpi4", "--at", "adb:1"), "rpi4 is reached by ssh; received the address"),
        (("selftest", "desktop", "--at", NOBODY), "desktop is this machine, which takes no"),
        (("clean", "rpy4"), "no device profile 'rpy4'"),
    ],
)
def test_an_address_or_name_that_is_wrong_ends_with_2(
    devices: Run, argv: tuple[str, ...], message: str
) -> None:
    done = devices(*argv)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_setup_of_this_machine_finds_what_is_there(devices: Run) -> None:
    done = devices("setup", "desktop")
    assert done.returncode == 0, done.stderr
    assert "– ai-edge-litert " in done.stdout
    assert "already there" in done.stdout


def test_clean_of_this_machine_frees_nothing(devices: Run) -> None:
    assert devices("clean", "desktop").stdout == "0 bytes freed on desktop\n"


# ---- the selftest


def test_selftest_of_this_machine_is_good_and_can_be_pasted(devices: Run) -> None:
    done = devices("selftest", "desktop")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    checks, block = lines[: lines.index("")], lines[lines.index("```text") :]
    assert [line.split(":")[0] for line in checks] == [
        "✓ reach",
        "✓ cache folder",
        "✓ free space",
        "✓ push and pull",
        "✓ Python",
        "✓ runtime",
        "✓ processor",
        "✓ conditions",
        "✓ float model",
        "✓ float timing",
        "✓ int8 model",
        "✓ int8 timing",
    ]
    assert "1 MB there in " in checks[3]
    assert "16 samples as on this machine" in checks[8]
    assert block[-1] == "```"
    assert [line.split(":")[0] for line in block[3:-1]] == ["ok"] * 12


def test_selftest_gives_json_and_1_where_a_check_fails(devices: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('python = "/no/python"\n')
    done = devices("selftest", "./broken.toml", "--trust-profile", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["good"]) == (1, False)
    failed = {check["name"]: check["said"] for check in told["checks"] if not check["good"]}
    assert set(failed) == {"Python", "runtime"}
    assert failed["Python"] == "/no/python cannot be started there"


@pytest.fixture(scope="module")
def host() -> Iterator[Session]:
    with open_session(host_profile(), installed()) as session:
        yield session


class Liar:
    """A session whose outputs are not those of the model."""

    def __init__(self, host: Session, change: Callable[..., Any]) -> None:
        self.host, self.change = host, change

    def predict(self, model: Path, inputs: dict[str, Path]) -> dict[str, Any]:
        found = self.host.predict(model, inputs)
        return {name: self.change(output) for name, output in found.items()}


@pytest.mark.parametrize("model", selftest.MODELS)
@pytest.mark.parametrize("wrong", ["uniform", "nan", "shuffled", "short", "slightly off"])
def test_outputs_that_are_wrong_are_seen(host: Session, model: str, wrong: str) -> None:
    import numpy as np

    changes: dict[str, Callable[[Any], Any]] = {
        "uniform": lambda found: np.full_like(found, found.mean()),
        "nan": lambda found: found * np.nan,
        "shuffled": lambda found: found[::-1],
        "short": lambda found: found[:-1],
        "slightly off": lambda found: found + np.float32(0.04),
    }
    liar: Any = Liar(host, changes[wrong])
    with selftest.samples() as inputs, pytest.raises(EdgeshrinkError, match="its outputs"):
        selftest.compare(liar, lambda: host, DeviceProfile("liar"), inputs, model)


def test_right_outputs_are_believed(host: Session) -> None:
    with selftest.samples() as inputs:
        said = selftest.compare(host, lambda: host, DeviceProfile("x"), inputs, "int8")
    assert said == "16 samples as on this machine, exactly"
