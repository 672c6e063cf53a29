"""Device profiles: read, checked, derived from each other, written; and those that ship."""

from __future__ import annotations

import doctest
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from paths import ROOT

from edgeshrink.devices import payoff, profile
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.measuring.sessions import chosen_devices, session_options
from edgeshrink.errors import ProfileError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.texts import toml_value

SHIPPED = ROOT / "device_profiles"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def read(text: str, name: str = "mine", **bases: str) -> DeviceProfile:
    def lookup(base: str) -> DeviceProfile:
        return DeviceProfile.from_toml(bases[base], base, lookup)

    return DeviceProfile.from_toml(text, name, lookup)


# ---- those that ship


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_is_right_and_its_options_exist(name: str) -> None:
    found = profile.find_profile(name, [SHIPPED])
    assert found.title
    assert found.hardware
    assert set(found.slow_precisions) <= set(found.precisions)
    assert all(source.startswith("https://") for source in found.sources)
    session_options(found, installed())


@pytest.mark.parametrize(("name", "toolchain"), [("rock-5b", "rknn"), ("canmv-k230", "nncase")])
def test_a_board_names_what_its_files_go_through(name: str, toolchain: str) -> None:
    (found,) = chosen_devices((name,), "", {}, installed())
    assert found.toolchains == (toolchain,)
    if toolchain in installed().readers:
        assert installed().readers[toolchain] in found.reads


def test_all_devices_of_the_list_ship() -> None:
    wanted = {"android", "coral-dev-board", "desktop", "desktop-gpu", "jetson-orin-nano"}
    wanted |= {"pixel-8", "rpi-32bit", "rpi-zero2w", "rpi3", "rpi4", "rpi5", "tflm"}
    wanted |= {"esp32-s3", "nrf54l15", "nucleo-f446re", "nucleo-h743zi", "pico", "pico2"}
    wanted |= {"rock-5b", "canmv-k230"}
    assert wanted <= set(NAMES)


def test_the_operators_that_shipped_profiles_name_are_in_the_schema() -> None:
    from ai_edge_litert import schema_py_generated as schema

    for name in NAMES:
        found = profile.find_profile(name, [SHIPPED])
        assert all(hasattr(schema.BuiltinOperator, operator) for operator in found.operators)


@pytest.mark.parametrize(
    ("said", "target", "name"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", "ssh", "rpi-zero2w"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "ssh", "rpi3"),
        ("Raspberry Pi 4 Model B Rev 1.4", "ssh", "rpi4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "ssh", "rpi5"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "ssh", "jetson-orin-nano"),
        ("Freescale i.MX8MQ Phanbell", "ssh", "coral-dev-board"),
        ("Radxa ROCK 5B", "ssh", "rock-5b"),
        ("Radxa ROCK 5 Model B", "ssh", "rock-5b"),
        ("Pixel 8", "adb", "pixel-8"),
        ("Pixel 8 Pro", "adb", "android"),
        ("", "adb", "android"),
        ("", "ssh", None),
        ("Raspberry Pi 2 Model B Rev 1.1", "ssh", None),
    ],
)
def test_a_device_is_recognised_by_its_own_words(said: str, target: str, name: str | None) -> None:
    profiles = [profile.find_profile(one, [SHIPPED]) for one in NAMES]
    found = profile.recognise_profile(said, profiles, target)
    assert (found.name if found else None) == name


# ---- reading


def test_unknown_keys_are_refused_with_near_matches() -> None:
    with pytest.raises(ProfileError, match="unknown key 'runtme'") as caught:
        read('runtme = "litert"')
    assert caught.value.hint == "did you mean 'runtime'?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threads = 0", "threads must be a positive int; received 0"),
        ("threads = true", "threads must be a positive int; received True"),
        ('emulated = "yes"', "emulated must be a bool; received 'yes'"),
        ('[pays]\nzero = ["ms"]', "no technique 'zero'"),
        (
            '[pays]\nzeros = ["speed"]',
            "zeros must be of download, disk, flash, ms; received 'speed'",
        ),
        ('[pays]\nzeros = "ms"', "zeros lists text; received 'ms'"),
        ('[slow_layers]\nint9 = ["LSTM"]', "must be of float32, .* received 'int9'"),
        ("[slow_layers]\nint8 = [1]", "int8 lists text"),
        ("sources = [1]", "sources lists text"),
        ('accelerator = "tpu"', "accelerator must be one of cpu, gpu, npu; received 'tpu'"),
        ('precisions = ["int9"]', "received 'int9'"),
        ("[hardware]\nclock = [1]", "holds text and numbers"),
        ("[hardware]\nclock = true", "holds text and numbers"),
        ("operators = { conv-2d = 3 }", "operators are written as in CONV_2D"),
        ("operators = { CONV_2D = 0 }", "the version of CONV_2D must be a positive int"),
        ("operators = { CONV_2D = true }", "the version of CONV_2D must be a positive int"),
        ("title = ", "is not TOML"),
    ],
)
def test_wrong_values_are_refused(text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        read(text)


def test_a_misspelt_operator_comes_with_its_right_spelling() -> None:
    with pytest.raises(ProfileError) as caught:
        read("operators = { fully-connected = 11 }")
    assert caught.value.hint == "did you mean 'FULLY_CONNECTED'?"


# ---- what pays


def test_a_profile_says_what_pays_and_what_it_does_not_say_is_as_usual() -> None:
    profile = read('[pays]\nzeros = ["download", "ms"]\nchannels = []')
    assert profile.gains("zeros") == ("download", "ms")
    assert profile.gains("shared_values") == ("download",)
    assert profile.gains("channels") == ()
    assert profile.gains("rank") == ("download", "disk", "flash", "ms")


@pytest.mark.parametrize(
    ("technique", "gained", "said"),
    [
        ("zeros", ["download", "disk", "ms"], ""),
        ("channels", [], "on pi, fewer channels gain nothing"),
        (
            "shared_values",
            ["download"],
            "on pi, shared values make the file smaller to download, not smaller on disk and not "
            "faster",
        ),
        ("rank", ["ms"], "on pi, layers of lower rank make the file faster, not smaller to "
         "download and not smaller on disk"),
    ],
)  # fmt: skip
def test_what_a_technique_does_not_gain_is_said(
    technique: str, gained: list[str], said: str
) -> None:
    assert payoff.lacking(technique, gained, "pi") == said


def test_where_the_file_is_compiled_its_flash_counts_and_not_its_disk() -> None:
    assert payoff.lacking("zeros", ["download", "flash"], "npu", compiled=True) == (
        "on npu, zeros in integer kernels make the file smaller to download and smaller in flash, "
        "not less to compute"
    )


def test_what_is_gained_in_a_compiled_file_is_always_said() -> None:
    usual = payoff.PAYS["channels"]
    assert payoff.lacking("channels", usual, "pi") == ""
    assert payoff.lacking("channels", usual, "npu", compiled=True) == (
        "on npu, fewer channels make the file smaller to download and smaller in flash and less to "
        "compute"
    )


def test_the_example_of_what_pays_holds() -> None:
    assert doctest.testmod(payoff).failed == 0


# ---- based on another


BASE = """
title = "a base"
target = "ssh"
address = "ssh://base"
python = "/base/python"
threads = 4
board = ["Base*"]
operators = { CONV_2D = 3 }
[connection]
config = "base"
connect_timeout = 3
[options]
library = "/base/libLiteRt.so"
[hardware]
memory = "1 GB"
"""


def test_a_profile_takes_what_it_does_not_say_from_its_base() -> None:
    found = read('based_on = "base"\naddress = "ssh://mine"\n[connection]\nconfig = "m"', base=BASE)
    assert (found.name, found.title, found.threads) == ("mine", "a base", 4)
    assert found.address == "ssh://mine"
    assert found.connection == {"config": "m", "connect_timeout": 3}
    assert found.hardware == {"memory": "1 GB"}
    assert found.board == ()  # only the base is known by its board


def test_another_target_takes_nothing_of_how_the_base_is_reached() -> None:
    found = read('based_on = "base"\ntarget = "adb"', base=BASE)
    assert (found.address, found.connection, found.python) == ("", {}, "")
    assert found.options == {"library": "/base/libLiteRt.so"}


def test_another_runtime_takes_nothing_of_what_the_bases_is_told() -> None:
    found = read('based_on = "base"\nruntime = "tflm"', base=BASE)
    assert (found.options, found.operators) == ({}, {})
    assert found.address == "ssh://base"


def test_a_profile_based_on_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('based_on = "b"')
    (tmp_path / "b.toml").write_text('based_on = "a"')
    with pytest.raises(ProfileError, match="'a' is based on itself"):
        profile.find_profile("a", [tmp_path])


# ---- addresses


@pytest.mark.parametrize(
    ("target", "address"),
    [("ssh", "ssh://pi@somewhere:22"), ("ssh", "ssh:pi"), ("adb", "adb:"), ("adb", "adb:h:5555")],
)
def test_an_address_of_the_profiles_target_replaces_its_own(target: str, address: str) -> None:
    device = DeviceProfile("mine", target=target, address="old")
    assert profile.profile_at(device, address).address == address
    assert profile.profile_at(device, "") == device


@pytest.mark.parametrize("address", ["adb:123", "pi@somewhere", "somewhere:22", "SSH://x", ":x"])
def test_an_address_of_another_target_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="mine is reached by ssh") as caught:
        profile.profile_at(DeviceProfile("mine", target="ssh"), address)
    assert caught.value.hint == "its addresses begin with ssh:"


def test_this_machine_takes_no_address() -> None:
    with pytest.raises(UsageError, match="takes no address; received 'ssh://x'"):
        profile.profile_at(DeviceProfile("desktop"), "ssh://x")


# ---- writing


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "edgeshrink" / "device_profiles"


def test_what_is_saved_is_read_again_and_nobody_elses_to_read(config: Path) -> None:
    values = {
        "connection": {"config": 'a "quoted" \\ path\n'},
        "address": "ssh://pi@x",
        "target": "ssh",
        "python": "",
    }
    path = profile.save_profile("my-pi_2", values)
    assert path == config / "my-pi_2.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = profile.find_profile("my-pi_2", [config])
    assert (found.address, found.target, found.python) == ("ssh://pi@x", "ssh", "")
    assert found.connection == values["connection"]
    assert [entry.name for entry in config.iterdir()] == ["my-pi_2.toml"]


def test_a_profile_is_replaced_only_by_force(config: Path) -> None:
    profile.save_profile("mine", {"title": "first"})
    with pytest.raises(UsageError, match="is there already") as caught:
        profile.save_profile("mine", {"title": "second"})
    assert caught.value.hint == "--force replaces it"
    assert profile.find_profile("mine", [config]).title == "first"
    profile.save_profile("mine", {"title": "second"}, force=True)
    assert profile.find_profile("mine", [config]).title == "second"
    assert [entry.name for entry in config.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "../x", "a b", "ü", "-a", "a.toml", "x" * 65])
def test_a_name_that_is_no_file_name_is_refused(config: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a device's name has letters"):
        profile.save_profile(name, {})
    assert not config.exists()


def test_what_is_no_unicode_is_refused(config: Path) -> None:
    with pytest.raises(UsageError, match="is Unicode text"):
        profile.save_profile("mine", {"python": os.fsdecode(b"/\xff")})
    assert not config.exists()


@given(
    st.recursive(
        TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_every_value_that_is_written_as_toml_is_read_again(given_value: object) -> None:
    import tomllib

    assert tomllib.loads(f"x = {toml_value(given_value)}") == {"x": given_value}


def test_a_profile_with_an_unknown_key_is_refused_with_a_near_match() -> None:
    with pytest.raises(ProfileError, match="unknown key 'thread'") as told:
        DeviceProfile.from_toml("thread = 4", "mine")
    assert "'threads'" in told.value.hint
    with pytest.raises(ProfileError, match="positive int"):
        DeviceProfile.from_toml("threads = 0", "mine")
    with pytest.raises(ProfileError, match="received 'int7'"):
        DeviceProfile.from_toml('precisions = ["int7"]', "mine")
    with pytest.raises(ProfileError, match="not TOML"):
        DeviceProfile.from_toml("threads =", "mine")


def test_a_profile_is_found_by_name_or_path(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text("threads = 2")
    assert profile.find_profile("board", [tmp_path]).threads == 2
    assert profile.find_profile(str(tmp_path / "board.toml"), []).name == "board"
    with pytest.raises(UsageError, match="no device profile 'bord'") as told:
        profile.find_profile("bord", [tmp_path])
    assert told.value.hint == "did you mean 'board'?"
