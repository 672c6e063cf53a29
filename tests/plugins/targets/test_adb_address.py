"""Which Android device an address means, and where the adb client is found."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given, strategies as st

from edgeshrink.errors import TargetError, UsageError
from edgeshrink_targets.adb.address import AdbAddress
from edgeshrink_targets.adb.client import AdbClient


@pytest.mark.parametrize(
    ("address", "serial", "network"),
    [
        ("", "", False),
        ("adb:", "", False),
        ("adb://", "", False),
        ("adb:R58M123ABC", "R58M123ABC", False),
        ("adb:emulator-5554", "emulator-5554", False),
        ("adb:adb-2A.1_b._adb-tls-connect._tcp", "adb-2A.1_b._adb-tls-connect._tcp", False),
        ("adb:192.168.1.7:5555", "192.168.1.7:5555", True),
        ("adb://phone.lan:37123", "phone.lan:37123", True),
        ("adb:[fe80::1]:5555", "[fe80::1]:5555", True),
        ("adb:192.168.1.7", "192.168.1.7:5555", True),
        ("R58M123ABC", "R58M123ABC", False),
    ],
)
def test_an_address_names_a_device(address, serial, network):
    assert AdbAddress.parse(address) == AdbAddress(serial, network)


@pytest.mark.parametrize(
    "address",
    [
        "adb:-s",
        "adb:a b",
        "adb:a;reboot",
        "adb:$(id)",
        "adb:host:0",
        "adb:host:65536",
        "adb:host:port",
        "adb:host:5555:1",
        "adb:a\n",
        "adb:ünlaut",
        "adb:" + "a" * 129,
        "ssh://pi@raspberrypi.local",
    ],
)
def test_what_is_no_serial_number_is_refused(address):
    with pytest.raises(UsageError, match="an Android device is"):
        AdbAddress.parse(address)


@given(st.text())
def test_whatever_is_let_through_is_one_plain_word(text):
    try:
        serial = AdbAddress.parse(f"adb:{text}").serial
    except UsageError:
        return
    assert not serial.startswith("-")
    assert serial.isascii()
    assert not set(serial) & set(" \t\n'\"$`;&|<>*?\\/(){}")


def a_client(folder):
    folder.mkdir(parents=True)
    (folder / "adb").write_text("#!/bin/sh\n")
    (folder / "adb").chmod(0o755)
    return str(folder / "adb")


@pytest.mark.skipif(sys.platform == "win32", reason="the client here is a script")
def test_the_client_is_the_one_named_else_in_path_else_in_the_sdk(tmp_path, monkeypatch):
    named = a_client(tmp_path / "named")
    in_sdk = a_client(tmp_path / "sdk/platform-tools")
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert AdbClient.find("", 1).program == in_sdk
    in_path = a_client(tmp_path / "bin")
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path / "empty"), str(tmp_path / "bin"))))
    assert AdbClient.find("", 1).program == in_path
    assert AdbClient.find(named, 1).program == named


@pytest.mark.parametrize("program", ["", "no-such-adb"])
def test_a_missing_client_is_told_with_what_to_install(tmp_path, monkeypatch, program):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    with pytest.raises(TargetError, match="adb is not installed") as caught:
        AdbClient.find(program, 1)
    assert "platform tools" in caught.value.hint
