"""The loopback phone keeps to the protocol: both real adb clients take it for a device."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import phone as phones
import pytest

pytestmark = pytest.mark.device
TMP = "/data/local/tmp"


@pytest.fixture(scope="module", params=phones.CLIENTS)
def adb(request, tmp_path_factory):
    program = phones.client(request.param, request.config)
    with phones.bridge(program, tmp_path_factory.mktemp("home")) as bridge:
        yield bridge


@pytest.fixture(scope="module")
def phone(adb, tmp_path_factory):
    with phones.phone(tmp_path_factory.mktemp("phone")) as phone:
        adb("connect", phone.address)
        yield phone


@pytest.fixture
def on_phone(adb, phone):
    phone.fault()
    return lambda *argv: adb("-s", phone.address, *argv)


def test_the_shell_tells_outputs_apart_and_the_exit_code(on_phone):
    done = on_phone("shell", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_command_killed_by_a_signal_exits_with_128_and_more(on_phone):
    assert on_phone("shell", "kill -9 $$").returncode == 137


def test_the_shell_reads_its_input_to_the_end(adb, phone):
    done = subprocess.run(
        [adb.adb, "-s", phone.address, "shell", "wc -c"],
        input=bytes(range(256)) * 1000,
        capture_output=True,
        env={**os.environ, **adb.environment},
        timeout=20,
    )
    assert done.stdout.split() == [b"256000"]


def test_exec_out_is_binary_and_merges_the_outputs(adb, phone, on_phone):
    content = bytes(range(256)) * 300
    (phone.tmp / "bytes").write_bytes(content)
    done = subprocess.run(
        [adb.adb, "-s", phone.address, "exec-out", f"cat {TMP}/bytes; echo err >&2"],
        capture_output=True,
        env={**os.environ, **adb.environment},
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, content + b"err\n", b"")


def test_properties_are_those_of_a_phone(on_phone):
    assert on_phone("shell", "getprop ro.product.cpu.abi").stdout == "arm64-v8a\n"
    assert "[ro.build.version.sdk]: [35]" in on_phone("shell", "getprop").stdout


def test_files_are_pushed_listed_and_pulled_whole(on_phone, phone, tmp_path):
    sent = tmp_path / "a file"
    sent.write_bytes(bytes(range(256)) * 3000)
    sent.chmod(0o755)
    assert on_phone("push", str(sent), f"{TMP}/a file").returncode == 0
    stored = phone.tmp / "a file"
    assert stored.read_bytes() == sent.read_bytes()
    assert stored.stat().st_mode & 0o777 == 0o755
    assert int(stored.stat().st_mtime) == int(sent.stat().st_mtime)
    assert "a file" in on_phone("ls", TMP).stdout
    assert on_phone("pull", f"{TMP}/a file", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == sent.read_bytes()
    missing = on_phone("pull", f"{TMP}/none", str(tmp_path / "none"))
    assert missing.returncode == 1
    assert "No such file" in missing.stdout + missing.stderr


def test_folders_are_pushed_with_all_that_is_in_them(on_phone, phone, tmp_path):
    (tmp_path / "tree/leaf").mkdir(parents=True)
    (tmp_path / "tree/leaf/file").write_text("x")
    assert on_phone("push", str(tmp_path / "tree"), TMP).returncode == 0
    assert (phone.tmp / "tree/leaf/file").read_text() == "x"


def test_no_path_leads_out_of_the_phones_folder(on_phone, tmp_path):
    done = on_phone("pull", "/../../../../../../../../../etc/passwd", str(tmp_path / "got"))
    assert done.returncode == 1
    assert not (tmp_path / "got").exists()


def test_a_port_of_the_phone_is_forwarded(on_phone):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo():
            client, _ = server.accept()
            with client:
                client.sendall(client.recv(100).upper())

        threading.Thread(target=echo, daemon=True).start()
        port = on_phone("forward", "tcp:0", f"tcp:{server.getsockname()[1]}").stdout.strip()
        with socket.create_connection(("127.0.0.1", int(port)), 5) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"HELLO"
    on_phone("forward", "--remove-all")


def test_a_phone_knows_a_key_once_its_user_has_allowed_it(adb, tmp_path):
    with phones.phone(tmp_path / "phone", "--auth", "accept") as phone:
        adb("connect", phone.address)
        until = time.monotonic() + 5
        while adb("-s", phone.address, "get-state").stdout != "device\n":
            assert time.monotonic() < until
            time.sleep(0.05)
        phone.fault(unauthorized=True)  # nobody taps any more: the signature has to do
        adb("disconnect", phone.address)
        assert adb("connect", phone.address).stdout.startswith("connected to")
        adb("disconnect", phone.address)


def test_a_phone_before_android_7_has_a_terminal_for_a_shell(adb, tmp_path):
    with phones.phone(tmp_path / "phone", "--features", "") as phone:
        adb("connect", phone.address)
        done = subprocess.run(
            [adb.adb, "-s", phone.address, "shell", "echo out; echo err >&2; exit 7"],
            capture_output=True,
            env={**os.environ, **adb.environment},
            timeout=20,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"out\r\nerr\r\n", b"")
        adb("disconnect", phone.address)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")
def test_commands_run_inside_the_phones_folder(adb, tmp_path):
    shell = shutil.which("mksh-static")
    if not shell:
        pytest.skip("a root of its own needs a static shell: apt-get install mksh")
    root = tmp_path / "phone"
    (root / "system/bin").mkdir(parents=True)
    shutil.copy(shell, root / "system/bin/sh")
    with phones.phone(root, "--chroot") as phone:
        adb("connect", phone.address)
        script = f"cd {TMP} && pwd; echo /*; getprop ro.hardware"
        said = adb("-s", phone.address, "shell", script).stdout
        assert said == f"{TMP}\n/data /faulty /sdcard /system\nloopback\n"
        adb("disconnect", phone.address)


def test_a_lost_client_hangs_up_the_shell(adb, phone):
    client = subprocess.Popen(
        [adb.adb, "-s", phone.address, "shell", "echo $$; exec sleep 60"],
        stdout=subprocess.PIPE,
        env={**os.environ, **adb.environment},
    )
    pid = int(client.stdout.readline())
    client.kill()
    client.communicate()
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}/cmdline").exists()
