"""The adb target, through real adb clients, on loopback phones with three userlands."""

from __future__ import annotations

import phone as phones
import pytest

from edgeshrink.errors import CommandFailed, TargetError
from edgeshrink.testing import check_target
from edgeshrink_targets.adb.target import Adb, Options

pytestmark = pytest.mark.device

# Each client with a phone of today, and with one before Android 7, which tells no exit codes; and
# one phone that has Android's own programs only.
PAIRS = (
    ("debian", "shell protocol"),
    ("debian", "old shell"),
    ("platform-tools", "old shell"),
    ("platform-tools", "toybox"),
)
NAMES = (
    "two words",
    'it\'s "so"',
    "$HOME `id` $(id)",
    "a\nb",
    "-rf",
    "back\\slash",
    "*?[a]",
    "ümläut €",
    ";&|<>",
    "~",
    " ",
    "percent %s%n",
)


@pytest.fixture(scope="module", params=PAIRS, ids=", ".join)
def pair(request, tmp_path_factory):
    """Return a client with its server, and a phone."""
    client, kind = request.param
    program = phones.client(client, request.config)
    folder = tmp_path_factory.mktemp("phone")
    options = {
        "shell protocol": lambda: (),
        "old shell": lambda: ("--features", ""),
        "toybox": lambda: phones.toybox(folder / "tools"),
    }[kind]()
    with phones.bridge(program, folder) as bridge, phones.phone(folder / "root", *options) as phone:
        yield bridge, phone


@pytest.fixture
def bridge(pair):
    return pair[0]


@pytest.fixture
def phone(pair):
    return pair[1]


@pytest.fixture(autouse=True)
def environment(bridge, monkeypatch):
    for key, value in bridge.environment.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def connect(bridge, phone):
    """Return what connects to the phone."""
    return lambda: Adb.connect(f"adb:{phone.address}", Options(bridge.adb))


@pytest.fixture
def device(connect):
    with connect() as device:
        yield device


def test_it_keeps_the_promises_of_a_target(bridge, phone):
    check_target(Adb, f"adb:{phone.address}", Options(bridge.adb), timeout=1)


def test_output_errors_and_exit_code_come_back_apart_even_from_an_old_shell(device):
    done = device.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_command_killed_by_a_signal_has_a_negative_exit_code(device):
    assert device.run("sh", "-c", "kill -9 $$").returncode == -9


def test_files_of_any_name_come_and_go_whole(device, phone, tmp_path):
    folder = device.folder()
    (tmp_path / "sent").write_bytes(bytes(range(256)) * 5 + b"\r\n")
    for name in NAMES:
        device.push(tmp_path / "sent", f"{folder}/{name}")
        device.pull(f"{folder}/{name}", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes(), name
    there = next(phone.tmp.glob("edgeshrink/runs/*/*"))
    assert sorted(path.name for path in there.iterdir()) == sorted(NAMES)


def test_a_file_of_any_name_here_is_sent(device, tmp_path):
    for name in ("-n", "two words", "$HOME", "a\nb"):
        (tmp_path / name).write_text(name)
        remote = f"{device.folder()}/file"
        device.push(tmp_path / name, remote)
        assert device.run("cat", remote).stdout == name


def test_a_placed_file_is_sent_once_and_stays(connect, phone, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(b"model")
    with connect() as device:
        remote = device.place(model)
        inode = next(phone.tmp.glob("edgeshrink/files/*.tflite")).stat().st_ino
    with connect() as device:
        assert device.place(model) == remote
        assert next(phone.tmp.glob("edgeshrink/files/*.tflite")).stat().st_ino == inode
        assert device.clean() >= 0
        assert not list(phone.tmp.glob("edgeshrink/files/*"))


def test_a_program_stays_executable(device, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho it runs\n")
    program.chmod(0o755)
    remote = f"{device.folder()}/program"
    device.push(program, remote)
    assert device.run(remote).stdout == "it runs\n"


def test_a_command_longer_than_adb_can_carry_arrives_whole(device, phone):
    argument = "'\n$x" * 5000
    assert device.run("printf", "%s", argument).stdout == argument
    assert device.run("true").returncode == 0  # the server is still there
    assert not list(phone.tmp.glob("edgeshrink/runs/*/*.sh"))


def test_closing_leaves_nothing_where_nothing_was_placed(connect, phone):
    with connect() as device:
        device.clean()
        device.folder()
        assert phone.tmp.joinpath("edgeshrink").is_dir()
    assert not phone.tmp.joinpath("edgeshrink").exists()


def test_a_hundred_megabytes_of_output_are_stopped_and_the_device_is_well(device):
    with pytest.raises(CommandFailed, match="more than 34 MB"):
        device.run("head", "-c", "104857600", "/dev/zero", timeout=60)
    assert device.run("echo", "well").stdout == "well\n"


@pytest.mark.parametrize("pair", PAIRS[:1], indirect=True, ids=", ".join)
def test_a_hundred_megabytes_come_and_go(device, tmp_path):
    sent = tmp_path / "sent"
    block = bytes(range(256)) * 4096
    with sent.open("wb") as stream:
        for number in range(100):
            stream.write(number.to_bytes(4, "big") + block)
    remote = f"{device.folder()}/big"
    device.push(sent, remote)
    device.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").stat().st_size == sent.stat().st_size  # pull compares digests


def test_a_timeout_ends_all_that_a_command_started(device, phone):
    script = "sleep 60 & echo $! $$; wait"
    lines: list[str] = []
    with pytest.raises(CommandFailed, match="gave no answer in 1 s"):
        device.run("sh", "-c", script, timeout=1, watch=lines.append)
    assert all(phones.is_ended(pid) for pid in lines[0].split())


def test_python_is_the_bundles_which_is_not_there_before_setup(device, phone):
    assert device.python() == ("sh", f"{device.cache()}/python/run.sh")
    missing = device.run(*device.python(), "-c", "print()").returncode
    # Android's shell says 127, as for a missing command; the shell of this machine may not.
    assert missing == 127 or (missing and "--shell" not in phone.options)


def test_setting_up_refuses_a_processor_that_the_python_is_not_for(bridge, tmp_path):
    options = ("--property", "ro.product.cpu.abi=armeabi-v7a")
    with (
        phones.phone(tmp_path / "phone", *options) as other,
        pytest.raises(TargetError, match=r"runs on arm64-v8a; .* has 'armeabi-v7a'"),
    ):
        Adb.setup(f"adb:{other.address}", Options(bridge.adb), lambda share, note: None)
    bridge("disconnect", other.address)


def test_a_second_user_is_kept_out(connect, phone):
    with connect() as first:
        owner = phone.tmp / "edgeshrink/lock/owner"
        owner.write_text(owner.read_text().replace(first._owner.who, "somebody@else"))
        with pytest.raises(TargetError, match="is in use by somebody@else"):
            connect()
