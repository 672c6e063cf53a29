"""A profile from a stranger's folder replaces none of ours and names no program."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import converted

from edgeshrink.devices import find_profile
from edgeshrink.errors import ProfileError
from edgeshrink.plugins import Plugins

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that a stranger gave, in which one works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "device_profiles").mkdir()
    return tmp_path / "device_profiles"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('python = "./x"', "python"),
        ('target = "ssh"\naddress = "ssh:pi"\n[connection]\nssh = "./x"', "connection.ssh"),
        ('target = "ssh"\naddress = "ssh:pi"\n[connection]\nconfig = "./x"', "connection.config"),
        ('target = "adb"\n[connection]\nadb = "./x"', "connection.adb"),
        ('[options]\nlibrary = "./x.so"', "options.library"),
        ('[connection]\nlist = ["./x"]', "connection.list"),
    ],
)
def test_programs_of_strangers_are_refused_until_they_are_believed(
    folder: Path, text: str, named: str
) -> None:
    (folder / "mine.toml").write_text(text)
    folders = Plugins([]).profile_folders
    for name in ("mine", "device_profiles/mine.toml", str(folder / "mine.toml")):
        with pytest.raises(
            ProfileError, match=f"must not name programs; .* says {named}"
        ) as caught:
            find_profile(name, folders)
        assert "--trust-profile" in caught.value.hint
    with pytest.raises(ProfileError):  # by name it might be any folder's
        find_profile("mine", folders, trust=True)
    assert find_profile("device_profiles/mine.toml", folders, trust=True).name == "mine"


def test_numbers_and_facts_are_taken(folder: Path) -> None:
    (folder / "mine.toml").write_text(
        'based_on = "rpi4"\nthreads = 2\n[connection]\nalive_count = 9'
    )
    assert find_profile("mine", Plugins([]).profile_folders).threads == 2


def test_the_users_own_profiles_are_believed(folder: Path) -> None:
    own = folder.parent / "config" / "edgeshrink" / "device_profiles"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text('python = "/usr/bin/python3"')
    assert find_profile("mine", Plugins([]).profile_folders).python == "/usr/bin/python3"


def test_a_strangers_desktop_is_not_ours_and_runs_nothing(folder: Path, edgeshrink: Run) -> None:
    ran, script = folder.parent / "ran", folder.parent / "x"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (folder / "desktop.toml").write_text(f'python = "{script}"')
    model = converted() / "float.tflite"
    done = edgeshrink("bench", model, "--rules", "smoke")
    assert done.returncode == 0, done.stderr
    assert "device_profiles/desktop.toml is not used for the device desktop" in done.stderr
    done = edgeshrink("bench", model, "--device", "device_profiles/desktop.toml")
    assert done.returncode == 1
    assert "must not name programs" in done.stderr
    assert not ran.exists()
    edgeshrink("bench", model, "--device", "device_profiles/desktop.toml", "--trust-profile")
    assert ran.exists()
