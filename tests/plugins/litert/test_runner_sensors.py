"""What a device says of its processor, heat and energy: on files and programs as found there."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_models import converted

from edgeshrink.devices.measurement import BenchPlan, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink_litert import disturbance
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.runner import energy, power, processor, sensors
from edgeshrink_litert.runner.result import JobError
from edgeshrink_targets.local import Local

SHORT = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0)
PI_4 = """\
processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08

processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd08

Hardware\t: BCM2835
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
PIXEL = "CPU implementer\t: 0x41\nCPU part\t: 0xd05\nCPU implementer\t: 0x41\nCPU part\t: 0xd44\n"
ODD = "CPU implementer\t: 0x41\nCPU part\t: 0xfff\n"
X86 = "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B45\nflags\t\t: fpu hypervisor\n"


@pytest.fixture
def tree(tmp_path):
    """Write files of a pretended machine and return its root."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path / "root")

    return write


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs of a pretended machine before all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name, text):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return write


# ---- the processor


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (PI_4, "Cortex-A72"),
        (PI_4.replace("0xd08", "0xd0b"), "Cortex-A76"),
        (PIXEL, "Cortex-A55 + Cortex-X1"),
        (ODD, "ARM implementer 0x41 part 0xfff"),
        ("CPU implementer\t: x\nCPU part\t: y\n", "ARM implementer x part y"),
        (X86, "AMD EPYC 9B45"),
        ("", "A board"),
    ],
)
def test_processors_are_named(tree, cpuinfo, name):
    root = tree({"proc/cpuinfo": cpuinfo, "proc/device-tree/model": "A board\0"})
    assert processor.name(root) == name
    assert processor.board(root) == "A board"


@pytest.mark.parametrize(
    ("machine", "files", "reason"),
    [
        ("aarch64", {"proc/cpuinfo": PI_4}, ""),
        (
            "aarch64",
            {"proc/cpuinfo": PI_4, "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm"},
            "",
        ),
        (
            "aarch64",
            {"proc/cpuinfo": PI_4, "proc/device-tree/compatible": "linux,dummy-virt\0"},
            "a qemu virtual machine",
        ),
        (
            "aarch64",
            {"proc/cpuinfo": PI_4, "sys/class/dmi/id/sys_vendor": "QEMU\n"},
            "a qemu virtual machine",
        ),
        ("aarch64", {"proc/cpuinfo": X86}, "qemu-user runs aarch64 code on AMD EPYC 9B45"),
        ("armv7l", {"proc/cpuinfo": X86}, "qemu-user runs armv7l code on AMD EPYC 9B45"),
        # A virtual machine with KVM runs at its processor's own speed.
        ("x86_64", {"proc/cpuinfo": X86, "sys/class/dmi/id/sys_vendor": "QEMU\n"}, ""),
        (
            "x86_64",
            {"proc/cpuinfo": "vendor_id: AuthenticAMD\nmodel name: QEMU TCG CPU version 2.5+\n"},
            "a qemu virtual machine",
        ),
        ("aarch64", {}, ""),
    ],
)
def test_emulated_processors_are_told(tree, machine, files, reason):
    assert processor.emulated(machine, tree(files)) == reason


def test_a_profile_may_say_that_its_device_is_emulated():
    profile = DeviceProfile("here", emulated=True)
    with Local.connect("", None) as target:
        for asked, wanted in ((profile, "this machine's processor stands for its own"), (None, "")):
            device = asked or DeviceProfile("here")
            with LiteRT().open(target, target.folder(), device) as session:
                assert session.facts().emulated == wanted


# ---- heat, frequency, throttling


def test_conditions_of_a_raspberry_pi(tree, programs):
    cores = sensors.used_cores()
    files = {"sys/class/thermal/thermal_zone0/type": "cpu-thermal\n"}
    files["sys/class/thermal/thermal_zone0/temp"] = "48312\n"
    for core in cores:
        folder = sensors.CPUFREQ % core
        files[folder + "scaling_governor"] = "ondemand\n"
        files[folder + "scaling_cur_freq"] = "1500000\n" if core else "1800000\n"
        files[folder + "cpuinfo_max_freq"] = "1800000\n"
    programs("vcgencmd", '[ "$1" = get_throttled ] && echo throttled=0x50001')
    found = sensors.conditions(tree(files))
    load = found.pop("load_average")
    assert load >= 0
    assert found == {
        "governor": "ondemand",
        "frequency_mhz": 1500 if cores != [0] else 1800,
        "max_frequency_mhz": 1800,
        "temperature_celsius": 48.312,
        "throttled": ["under-voltage"],
        "throttled_since_start": ["under-voltage", "throttled"],
    }


def test_a_machine_that_tells_nothing_tells_nothing(tree):
    assert set(sensors.conditions(tree({"proc/none": ""}))) <= {"load_average"}


def test_the_slowest_of_the_used_cores_counts(tree):
    files = {}
    for core, (now, most) in enumerate([(600, 2000), (1000, 1000), (2000, 2000)]):
        files[sensors.CPUFREQ % core + "scaling_cur_freq"] = f"{now}000"
        files[sensors.CPUFREQ % core + "cpuinfo_max_freq"] = f"{most}000"
    root = tree(files)
    assert sensors.frequency(root, [0, 1, 2])["frequency_mhz"] == 600
    assert sensors.frequency(root, [1, 2]) == {"frequency_mhz": 1000, "max_frequency_mhz": 1000}
    assert sensors.frequency(root, [7]) == {}


def test_the_processors_own_temperature_counts(tree):
    zones = {"battery": "31000", "cpu-0-0": "52000", "cpu-0-1": "57000", "gpu": "90000"}
    files = {}
    for number, (kind, value) in enumerate(zones.items()):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = kind
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = value
    assert sensors.temperature(tree(files)) == 57.0
    files["sys/class/thermal/thermal_zone1/temp"] = "0"
    files["sys/class/thermal/thermal_zone2/temp"] = "not a number"
    assert sensors.temperature(tree(files)) == 90.0


def test_androids_thermal_status_is_read(programs):
    assert sensors.android_status() is None
    programs("dumpsys", 'echo "IsStatusOverride: false"; echo "Thermal Status: 3"; echo Cached:')
    assert sensors.android_status() == 3
    programs("dumpsys", "exit 1")
    assert sensors.android_status() is None


def test_a_program_that_hangs_is_left(programs, monkeypatch):
    monkeypatch.setattr(sensors, "PROGRAM_SECONDS", 0.2)
    programs("vcgencmd", "exec sleep 20")
    started = time.monotonic()
    assert sensors.raspberry_throttling() == {}
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        ({}, {}, ()),
        ({"throttled": []}, {"throttled": []}, ()),
        (
            {"throttled": []},
            {"throttled": ["throttled"]},
            ("the device said of itself: throttled",),
        ),
        (
            {"throttled_since_start": ["under-voltage"]},
            {"throttled_since_start": ["under-voltage"]},
            (),
        ),
        (
            {"throttled": [], "throttled_since_start": []},
            {"throttled": [], "throttled_since_start": ["under-voltage"]},
            ("the device said of itself: under-voltage",),
        ),
        ({"thermal_status": 1}, {"thermal_status": 1}, ()),
        (
            {"thermal_status": 0},
            {"thermal_status": 2},
            ("Android's thermal status was 2 (moderate): it slows the processor down",),
        ),
    ],
)
def test_what_voids_times(before, after, sentences):
    assert disturbance.disturbed(before, after) == sentences


def test_what_is_worth_a_note():
    after = {"governor": "powersave", "frequency_mhz": 1200.0, "max_frequency_mhz": 1800.0}
    assert disturbance.notes({"load_average": 3.5}, after, 4) == [
        "other programs were at work: the load average was 3.5 on 4 cores",
        "the governor is powersave, which may keep the processor slow",
        "a core ran at 1200 of 1800 MHz at the end",
    ]
    calm = {"governor": "performance", "frequency_mhz": 1800.0, "max_frequency_mhz": 1800.0}
    assert disturbance.notes({"load_average": 0.9}, calm, 1) == []


def test_times_of_a_throttled_device_are_not_valid(programs):
    programs("vcgencmd", "echo throttled=0x4")
    with Local.connect("", None) as target, open_session(target) as session:
        (result,) = session.time([converted() / "float.tflite"], SHORT)
    assert isinstance(result, Measurement)
    assert len(result.samples_ns) >= SHORT.runs
    assert not result.valid
    assert result.disturbed == ("the device said of itself: throttled",)
    assert result.conditions["after"]["throttled"] == ["throttled"]


def open_session(target):
    return LiteRT().open(target, target.folder(), DeviceProfile("here"))


# ---- cores and rest


def test_models_run_on_the_cores_that_the_plan_names():
    core = sensors.used_cores()[-1]
    plan = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0, affinity=(core,))
    none = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0, affinity=(core, 9999))
    with Local.connect("", None) as target, open_session(target) as session:
        (result,) = session.time([converted() / "float.tflite"], plan)
        (refused,) = session.time([converted() / "float.tflite"], none)
    assert isinstance(result, Measurement)
    known = ", ".join(map(str, sensors.used_cores()))
    assert refused.reason == f"affinity names cores that cannot be used: 9999; there are {known}"


def test_the_device_rests_before_models_are_timed():
    plan = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0, cool_down=0.6)
    told = []
    started = time.monotonic()
    with Local.connect("", None) as target, open_session(target) as session:
        (result,) = session.time(
            [converted() / "float.tflite"], plan, lambda share, note: told.append(note)
        )
    assert isinstance(result, Measurement)
    assert "cooling down" in told
    assert time.monotonic() - started > 0.6


# ---- energy


@contextmanager
def counting(path, watts, wraps=None):
    """Let a counter of microjoules count as one of that power does."""
    over, began = threading.Event(), time.monotonic()
    start = int(path.read_text())

    def count():
        while not over.wait(0.005):
            value = start + int((time.monotonic() - began) * watts * 1e6)
            partial = path.with_suffix(".new")
            partial.write_text(str(value % wraps if wraps else value))
            partial.replace(path)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


RAPL = "sys/class/powercap/intel-rapl:0/"


def test_energy_by_rapl_survives_a_counter_that_begins_anew(tree):
    root = tree(
        {
            RAPL + "name": "package-0\n",
            RAPL + "energy_uj": "900000",
            RAPL + "max_energy_range_uj": "1000000",
            "sys/class/powercap/intel-rapl:0:0/name": "core\n",
        }
    )
    meter = power.find(root)
    assert meter.source == "Intel RAPL, package"
    with counting(Path(root, RAPL, "energy_uj"), 2.0, 1_000_000):
        meter.begin()
        time.sleep(0.3)
        joules = meter.end()
    assert 0.2 < joules < 2  # 0.6 where the counter is written in time


def test_a_counter_for_root_only_is_told(tree):
    root = tree({RAPL + "name": "package-0"})
    with pytest.raises(JobError, match="the counter of Intel RAPL is readable by root only"):
        power.find(root)


PMIC = """cat <<END
     3V7_WL_SW_A current(0)=0.10000000A
       3V3_SYS_A current(1)=0.20000000A
     3V7_WL_SW_V volt(8)=4.00000000V
       3V3_SYS_V volt(9)=3.00000000V
         EXT5V_V volt(24)=5.14784000V
END"""


def test_a_raspberry_pi_5_sums_its_rails(programs, tree):
    programs("vcgencmd", PMIC)
    meter = power.find(tree({"proc/none": ""}))
    assert meter.source == "Raspberry Pi 5 PMIC"
    started = time.monotonic()
    meter.begin()
    time.sleep(0.3)
    joules = meter.end()
    assert 0.3 <= joules <= 1.0 * (time.monotonic() - started)


def test_a_battery_tells_energy_only_while_it_is_discharged(tree):
    folder = "sys/class/power_supply/battery/"
    files = {
        "sys/class/power_supply/ac/type": "Mains",
        folder + "type": "Battery\n",
        folder + "status": "Charging\n",
        folder + "current_now": "-500000\n",
        folder + "voltage_now": "4000000\n",
    }
    with pytest.raises(JobError, match="the battery is being charged"):
        power.find(tree(files))
    meter = power.find(tree({folder + "status": "Discharging\n"}))
    assert (meter.source, meter.watts()) == ("battery", 2.0)
    with pytest.raises(JobError, match="tells no current and voltage"):
        power.find(tree({folder + "current_now": "unknown"}))


def test_energy_of_one_inference(tree):
    root = tree({RAPL + "name": "package-0", RAPL + "energy_uj": "5"})
    model = {"path": str(converted() / "float.tflite"), "stateful": False}
    plan = {"affinity": ()}
    job = {"models": [model], "threads": 1, "kernels": "xnnpack", "plan": plan}
    with counting(Path(root, RAPL, "energy_uj"), 3.0):
        found = energy.measure_energy(job, root, idle=0.3, least=0.5)["energy"]
    assert 0.5 < found["idle_watts"] < 10
    assert found["seconds"] >= 0.5
    assert found["millijoules"] > 0
    assert found["source"] == "Intel RAPL, package"


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_energy_is_measured_where_the_device_tells_it(programs):
    plan = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0, energy=True)
    model = converted() / "float.tflite"
    with Local.connect("", None) as target, open_session(target) as session:
        (without,) = session.time([model], plan)
        programs("vcgencmd", PMIC)
        (result,) = session.time([model], plan)
    if without.energy is None:  # as on most machines without root's rights
        assert any(note.startswith("energy: not told by this device (") for note in without.notes)
    assert result.energy.millijoules > 0
    assert result.energy.seconds >= 10
    assert result.energy.idle_watts > 0
