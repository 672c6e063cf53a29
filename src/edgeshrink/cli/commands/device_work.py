"""The commands that do something with one device: add, setup, selftest, clean."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeshrink.cli.say import say
from edgeshrink.cli.shared import (
    At,
    Debug,
    Json,
    SshConfig,
    TrustProfile,
    print_json,
    registry,
)
from edgeshrink.devices import (
    address_scheme,
    available_profiles,
    check_profile_name,
    find_profile,
    profile_at,
    recognise_profile,
    save_profile,
    user_folder,
)
from edgeshrink.errors import TargetError, UsageError
from edgeshrink.part import version_of
from edgeshrink.texts import shown

if TYPE_CHECKING:
    from edgeshrink.devices import DeviceProfile
    from edgeshrink.plugins import Plugins
    from edgeshrink.selftest import Check

Name = Annotated[str, typer.Argument(metavar="NAME", help="A device, or a path to its .toml.")]


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the device.")],
    at: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where it is: ssh://user@host:port, ssh:NAME of your ssh configuration, "
            "adb:SERIAL.",
        ),
    ],
    like: Annotated[
        str,
        typer.Option(metavar="PROFILE", help="The profile it is like (default: asks the device)."),
    ] = "",
    ssh_config: SshConfig = "",
    python: Annotated[
        str, typer.Option(metavar="PATH", help="The Python on the device to use.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace your device NAME.")] = False,
    debug: Debug = False,
) -> None:
    """Write a profile for a device of yours, so that it can be named.

    The device is asked what it is; with --like it need not be there.

    Example: edgeshrink devices add mypi --at ssh://pi@raspberrypi.local
    """
    from edgeshrink.cli.display.tables import console, write
    from edgeshrink.engine import known_devices

    plugins = registry()
    like, board, notes = _base(name, at, like, ssh_config, force, plugins)
    values = {
        "based_on": like,
        "target": address_scheme(at),
        "address": at,
        "python": python,
        "connection": _connection(ssh_config),
    }
    path = save_profile(name, values, force=force)
    to = console()
    said = f", which calls itself {board!r}" if board else ""
    write(f"{name}: {at}{said}", to=to)
    write(f"based on {like}" if like else "based on no other profile", to=to, lead="– ")
    if not like:
        why = "no profile knows that name" if board else "it does not tell what it is"
        alike = [one for one in known_devices(plugins) if one.target == address_scheme(at)]
        some = ", ".join(one.name for one in alike if one.name != name)
        write(f"{why}: --like and --force take one of {some}", to=to, lead="– ")
    for note in notes:
        write(note, to=to, lead="– ")
    write(f"written: {path}", to=to, lead="– ")
    write(f"next: edgeshrink devices setup {name}", to=to, lead="– ")


def _base(
    name: str, at: str, like: str, ssh_config: str, force: bool, plugins: Plugins
) -> tuple[str, str, list[str]]:
    """Return the profile that a new one is based on, what the device calls itself, and notes."""
    from edgeshrink.engine import identify_device, known_devices

    check_profile_name(name)
    if like:
        profile_at(find_profile(like, plugins.profile_folders), at)
    taken = available_profiles(plugins.profile_folders).get(name)
    own = user_folder() / f"{name}.toml"
    if taken is not None and (taken != own or not force):
        hint = "--force replaces it" if taken == own else "choose another name"
        raise UsageError(f"there is a device {name!r} already: {taken}", hint=hint)
    if ssh_config and address_scheme(at) != "ssh":
        raise UsageError(f"--ssh-config goes with an address of ssh; received {at!r}")
    if ssh_config and not Path(ssh_config).is_file():
        raise UsageError(f"no ssh configuration file {ssh_config!r}")
    board, notes = "", []
    try:
        board = identify_device(at, _connection(ssh_config), plugins)
    except TargetError as error:
        if not like:
            raise TargetError(
                f"the device cannot be asked what it is: {error}",
                hint=error.hint or "--like names the profile that it is like, and is believed",
            ) from error
        notes.append(f"not reached now: {error}")
    if not like:
        found = recognise_profile(board, known_devices(plugins), address_scheme(at))
        like = found.name if found else ""
    if like == name:
        raise UsageError(f"a device cannot be like itself; received {name!r} twice")
    return like, board, notes


def setup(
    name: Name,
    at: At = "",
    ssh_config: SshConfig = "",
    trust_profile: TrustProfile = False,
    debug: Debug = False,
) -> None:
    """Install on a device what its runtime needs, from this machine.

    The device needs neither pip nor internet: pinned packages are fetched here, checked, and
    pushed there. A second time it only checks.

    Example: edgeshrink devices setup mypi
    """
    from edgeshrink.cli.display.progress import Watcher
    from edgeshrink.cli.display.tables import console, write
    from edgeshrink.engine import setup_device

    plugins = registry()
    device = _chosen(name, at, ssh_config, plugins, trust=trust_profile)
    with Watcher(plugins):
        said = setup_device(device, plugins, _telling(device.name, plugins))
    to = console()
    for sentence in said or ["nothing needs to be installed"]:
        write(sentence, to=to, lead="– ")
    write(f"next: edgeshrink devices selftest {name}", to=to, lead="– ")


def selftest(
    name: Name,
    at: At = "",
    ssh_config: SshConfig = "",
    trust_profile: TrustProfile = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check what a device promises, one by one: files, commands, its runtime, right outputs.

    Exits with 3 if the device is unreachable, with 1 if a check failed.

    Example: edgeshrink devices selftest mypi
    """
    from edgeshrink import selftest as work
    from edgeshrink.cli.display.tables import console, write

    plugins = registry()
    device = _chosen(name, at, ssh_config, plugins, trust=trust_profile)
    to, found = console(), []
    try:
        for check in work.run(device, plugins, lambda name: _passing(f"… {name}")):
            found.append(check)
            _passing("")
            if not json:
                write(f"{check.name}: {check.said}", to=to, lead="✓ " if check.good else "✗ ")
    finally:
        _passing("")
    good = all(check.good for check in found)
    if json:
        checks = [asdict(check) for check in found]
        print_json({"device": name, "versions": _versions(), "checks": checks, "good": good})
    else:
        to.print()
        write("To report how it went, paste this:", to=to)
        to.print()
        say(_report(device, found))
    if not good:
        raise typer.Exit(1)


def clean(
    name: Name,
    at: At = "",
    ssh_config: SshConfig = "",
    trust_profile: TrustProfile = False,
    debug: Debug = False,
) -> None:
    """Remove all that edgeshrink keeps on a device, its runtime too.

    Example: edgeshrink devices clean mypi
    """
    from edgeshrink.engine import clean_device

    plugins = registry()
    device = _chosen(name, at, ssh_config, plugins, trust=trust_profile)
    say(f"{clean_device(device, plugins):,} bytes freed on {name}")


def _chosen(name: str, at: str, ssh_config: str, plugins: Plugins, *, trust: bool) -> DeviceProfile:
    from edgeshrink.engine import chosen_devices

    return chosen_devices((name,), at, _connection(ssh_config), plugins, trust=trust)[0]


def _connection(ssh_config: str) -> Mapping[str, Any]:
    return {"config": str(Path(ssh_config).absolute())} if ssh_config else {}


def _telling(name: str, plugins: Plugins) -> Callable[[float, str], None]:
    """Return what shows progress: on a terminal the live line, elsewhere a line a stage."""
    last = [""]

    def told(share: float, note: str) -> None:
        plugins.hook.edgeshrink_device_progress(device=name, fraction=share, note=note)
        if note != last[0] and not sys.stderr.isatty():
            say(note, err=True)
        last[0] = note

    return told


def _passing(text: str) -> None:
    """Show what is being done on the terminal's last line; an empty text clears it."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{shown(text)}", end="", file=sys.stderr, flush=True)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("edgeshrink", "ai-edge-litert"):
        found[name] = version_of(name) or "not installed"
    return found


def _report(device: DeviceProfile, checks: list[Check]) -> str:
    """Return what can be shown to anybody: no address, no user's name."""
    host = ", ".join(f"{name} {said}" for name, said in _versions().items())
    based = f" (based on {device.based_on})" if device.based_on else ""
    lines = [
        f"host: {host}",
        f"profile{based}: target {device.target}, runtime {device.runtime}, accelerator "
        f"{device.accelerator}, threads {device.threads}",
        *(f"{'ok' if check.good else 'FAILED'}: {check.name}: {check.said}" for check in checks),
    ]
    return "\n".join(["```text", *lines, "```"])
