"""What goes wrong with adb, told in a sentence and a hint; and what is left behind."""

from __future__ import annotations

import re
import socket
import threading
import time

import phone as phones
import pytest

from edgeshrink.errors import CommandFailed, TargetError
from edgeshrink_targets.adb.target import Adb, Options

pytestmark = pytest.mark.device


@pytest.fixture(scope="module", params=phones.CLIENTS)
def bridge(request, tmp_path_factory):
    program = phones.client(request.param, request.config)
    with phones.bridge(program, tmp_path_factory.mktemp("home")) as bridge:
        yield bridge


@pytest.fixture(autouse=True)
def environment(bridge, monkeypatch):
    for key, value in bridge.environment.items():
        monkeypatch.setenv(key, value)
    yield
    bridge.forget()


@pytest.fixture
def phone(tmp_path):
    with phones.phone(tmp_path / "phone") as phone:
        yield phone


@pytest.fixture
def old_phone(tmp_path):
    with phones.phone(tmp_path / "old-phone", "--features", "") as phone:
        yield phone


@pytest.fixture
def connect(bridge):
    """Return what connects to an address, with little patience."""
    return lambda address: Adb.connect(address, Options(bridge.adb, connect_timeout=1.5))


@pytest.fixture
def sent(tmp_path):
    path = tmp_path / "sent"
    path.write_bytes(bytes(range(256)) * 8192)
    return path


def fails(act, words, hint):
    """Check that an act ends soon, with a `TargetError` of these words."""
    started = time.monotonic()
    with pytest.raises(TargetError, match=words) as caught:
        act()
    assert re.search(hint, caught.value.hint), caught.value.hint
    assert time.monotonic() - started < 20
    return caught.value


# No connection


def test_no_device(connect):
    fails(lambda: connect("adb:"), "no Android device is attached", "USB debugging")


def test_a_serial_number_that_is_not_attached(connect, phone):
    with connect(f"adb:{phone.address}"):
        error = fails(lambda: connect("adb:R58M12"), "R58M12 is not attached", "attached: 127")
    assert phone.address in error.hint


def test_two_devices_of_which_none_was_named(connect, phone, old_phone, monkeypatch):
    with connect(f"adb:{phone.address}"), connect(f"adb:{old_phone.address}") as second:
        error = fails(lambda: connect("adb:"), "2 Android devices are attached", "ANDROID_SERIAL")
        assert phone.address in str(error)
        assert old_phone.address in str(error)
        second.close()
        monkeypatch.setenv("ANDROID_SERIAL", old_phone.address)
        with connect("") as chosen:
            assert chosen.where == f"adb:{old_phone.address}"


def test_the_only_device_needs_no_name(connect, phone):
    connect(f"adb:{phone.address}").close()
    with connect("adb:") as device:
        assert device.where == f"adb:{phone.address}"


def test_a_port_at_which_nobody_listens(connect):
    address = f"127.0.0.1:{phones.free_port()}"
    fails(lambda: connect(f"adb:{address}"), "takes no connection: .*refused", "adb tcpip 5555")


def test_a_phone_whose_user_does_not_allow_this_machine(connect, tmp_path):
    with phones.phone(tmp_path / "phone", "--auth", "reject") as phone:
        words = "does not trust this machine yet: it is unauthorized"
        fails(lambda: connect(f"adb:{phone.address}"), words, "unlock the device, and tap Allow")


def test_a_phone_that_says_nothing_is_offline_and_works_once_it_speaks(connect, phone):
    phone.fault(offline=True)
    fails(lambda: connect(f"adb:{phone.address}"), "attached but does not answer", "attach it")
    phone.fault()
    with connect(f"adb:{phone.address}") as device:
        assert device.run("true").returncode == 0


def test_a_phone_that_was_away_is_connected_again(bridge, connect, phone):
    connect(f"adb:{phone.address}").close()
    phone.unplug()
    phone.plug_in()
    assert "offline" in bridge("devices").stdout
    assert "already connected" in bridge("connect", phone.address).stdout
    with connect(f"adb:{phone.address}") as device:
        assert device.run("echo", "back").stdout == "back\n"


def answer(server, said):
    """Answer every client of a port with the same bytes."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.recv(100)
            client.sendall(said)


@pytest.mark.parametrize(
    ("said", "words", "hint"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "cannot start or reach its server", "its port"),
        (b"OKAY00040020", r"version \(32\) doesn't match this client \(41\)", "kill-server"),
    ],
    ids=["another program", "another version"],
)
def test_a_port_that_is_not_this_adbs_servers(connect, monkeypatch, said, words, hint):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server, said), daemon=True).start()
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.getsockname()[1]))
        fails(lambda: connect("adb:"), words, hint)
        server.shutdown(socket.SHUT_RDWR)


# Commands


@pytest.mark.parametrize("kind", ["phone", "old_phone"])
def test_a_cable_pulled_out_in_a_commands_output_is_no_result(connect, request, kind):
    phone = request.getfixturevalue(kind)
    with connect(f"adb:{phone.address}") as device:
        phone.fault(shell_cut=100)
        fails(
            lambda: device.run("sh", "-c", "while :; do echo half of it; sleep 0.1; done"),
            "does not answer: it is offline|was lost|broke|not attached",
            "attach|cable|devices",
        )
        phone.fault()
    with connect(f"adb:{phone.address}") as device:
        assert device.run("echo", "back").stdout == "back\n"


def test_a_phone_that_dies_while_a_command_runs(connect, phone):
    with connect(f"adb:{phone.address}") as device:
        threading.Timer(0.5, phone.unplug).start()
        fails(
            lambda: device.run("sleep", "30"),
            "does not answer: it is offline|not attached|broke|was lost",
            "attach|cable|devices",
        )
        fails(lambda: device.run("true"), "does not answer|not attached", "attach|devices")


def test_a_command_whose_link_was_lost_is_ended_at_the_next_connection(connect, phone):
    seen = []
    with connect(f"adb:{phone.address}") as device:
        phone.fault(shell_cut=200)
        with pytest.raises(TargetError):
            device.run(
                "sh", "-c", "echo $$; while :; do echo half; sleep 0.05; done", watch=seen.append
            )
        phone.fault()
    connect(f"adb:{phone.address}").close()
    assert phones.is_ended(seen[0])


def test_an_adb_server_that_is_killed_while_a_command_runs(bridge, phone, tmp_path, monkeypatch):
    with phones.bridge(bridge.adb, tmp_path) as other:
        for key, value in other.environment.items():
            monkeypatch.setenv(key, value)
        device = Adb.connect(f"adb:{phone.address}", Options(bridge.adb))
        threading.Timer(0.5, lambda: other("kill-server")).start()
        try:
            # The next call of the client starts another server, which knows no device.
            fails(lambda: device.run("sleep", "30"), "is not attached|broke|lost|its server", "adb")
        finally:
            device.close()
            other("kill-server")


@pytest.mark.parametrize("kind", ["phone", "old_phone"])
def test_a_phone_that_stalls_is_told_in_time(connect, request, monkeypatch, kind):
    phone = request.getfixturevalue(kind)
    with connect(f"adb:{phone.address}") as device:
        monkeypatch.setattr(device, "patience", 1.0)
        monkeypatch.setattr("edgeshrink_targets.shell.remote.STOP_SECONDS", 1.0)
        phone.fault(shell_delay=30)
        fails(lambda: device.run("true"), "does not answer any more", "connect again")
        phone.fault()


def test_a_refused_shell(connect, phone):
    with connect(f"adb:{phone.address}") as device:
        phone.fault(refuse="shell")
        fails(lambda: device.run("true"), "refuses the service", "attach it again")
        phone.fault()


# Files


def there(phone):
    """Return the names of all files below the phone's cache folder that are no lock's."""
    found = phone.tmp.rglob("*")
    return sorted(p.name for p in found if p.is_file() and p.parent.name != "lock")


def test_a_cable_pulled_out_in_a_push_leaves_nothing_in_the_files_place(connect, phone, sent):
    with connect(f"adb:{phone.address}") as device:
        remote = f"{device.folder()}/file"
        phone.fault(push_cut=1_000_000)
        fails(lambda: device.push(sent, remote), "broke|offline|lost|closed", "attach|cable")
        assert "file" not in there(phone)
        phone.fault()
    with connect(f"adb:{phone.address}"):
        assert there(phone) == []


def test_a_disk_that_runs_full_in_a_push(connect, phone, sent):
    with connect(f"adb:{phone.address}") as device:
        remote = f"{device.folder()}/file"
        phone.fault(push_full=1_000_000)
        fails(lambda: device.push(sent, remote), "No space left on device", "room")
        assert there(phone) == []
        phone.fault()
        device.push(sent, remote)


def test_a_disk_without_room_is_seen_before_a_push(connect, phone, sent):
    with connect(f"adb:{phone.address}") as device:
        table = "echo Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        phone.fault(programs={"df": f"{table}echo /dev/block 1000 990 10 99% /data"})
        remote = f"{device.cache()}/file"
        fails(lambda: device.push(sent, remote), "has 10,240 bytes free", "free some room")


def test_a_push_that_stalls_is_told_in_time(connect, phone, sent, monkeypatch):
    with connect(f"adb:{phone.address}") as device:
        monkeypatch.setattr("edgeshrink_targets.adb.target.SLOW_BYTES", 50_000_000)
        remote = f"{device.folder()}/file"
        monkeypatch.setattr(device, "patience", 1.0)
        phone.fault(push_stall=100_000)
        fails(lambda: device.push(sent, remote), "adb push gave no answer in 1", "adb devices")
        phone.fault()
        assert there(phone) == []


def test_a_refused_push(connect, phone, sent):
    with connect(f"adb:{phone.address}") as device:
        phone.fault(refuse="sync")
        fails(lambda: device.push(sent, f"{device.folder()}/file"), "refuses the service", "attach")


@pytest.mark.parametrize(
    "fault",
    [{"push_flip": True}, {"programs": {"sha256sum": f"echo '{'0' * 64}  -'"}}],
    ids=["a changed byte", "a wrong digest"],
)
def test_a_push_that_arrives_changed_is_refused(connect, phone, sent, fault):
    with connect(f"adb:{phone.address}") as device:
        remote = f"{device.folder()}/file"
        phone.fault(**fault)
        with pytest.raises(TargetError, match="arrived changed"):
            device.push(sent, remote)
        assert there(phone) == []


def test_a_pull_that_arrives_changed_is_refused(connect, phone, sent, tmp_path):
    with connect(f"adb:{phone.address}") as device:
        remote = f"{device.folder()}/file"
        device.push(sent, remote)
        phone.fault(programs={"cat": 'head -c 2097151 "$1"; echo'})
        with pytest.raises(TargetError, match="arrived changed"):
            device.pull(remote, tmp_path / "got")
        phone.fault()
        with pytest.raises(CommandFailed, match="is not there"):
            device.pull(f"{remote} none", tmp_path / "got")
        assert not (tmp_path / "got").exists()


def test_a_cable_pulled_out_in_a_pull_leaves_nothing_here(connect, phone, sent, tmp_path):
    with connect(f"adb:{phone.address}") as device:
        remote = f"{device.folder()}/file"
        device.push(sent, remote)
        phone.fault(shell_cut=1_000_000)
        fails(lambda: device.pull(remote, tmp_path / "got"), "broke|offline|lost", "attach|cable")
        assert sorted(path.name for path in tmp_path.glob("*got*")) == []
        phone.fault()
