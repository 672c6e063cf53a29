"""The group of commands `devices`, with `list` and `show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgeshrink.cli.commands import device_work
from edgeshrink.cli.plain_commands import Command, Group
from edgeshrink.cli.shared import Debug, Json, frame, help_of, print_json, registry
from edgeshrink.devices import DeviceProfile, available_profiles, find_profile
from edgeshrink.errors import ProfileError


def app() -> typer.Typer:
    """Return the group of commands; alone it lists."""
    group = frame(invoke_without_command=True, cls=Group)

    def devices(ctx: typer.Context) -> None:
        """List devices, add one, set it up, test it.

        Example: edgeshrink devices add mypi --at ssh://pi@raspberrypi.local
        """
        if ctx.invoked_subcommand is None:
            list_devices()

    group.callback(help=help_of(devices))(devices)
    group.command("list", help=help_of(list_devices), cls=Command)(list_devices)
    group.command("show", help=help_of(show_device), cls=Command)(show_device)
    for name in ("add", "setup", "selftest", "clean"):
        command = getattr(device_work, name)
        group.command(name, help=help_of(command), cls=Command)(command)
    return group


def list_devices(json: Json = False, debug: Debug = False) -> None:
    """List the device profiles, and what is wrong with some."""
    from edgeshrink.cli.display.tables import Column, console, left, show
    from edgeshrink.cli.shared import warn

    folders = registry().profile_folders
    found: list[DeviceProfile] = []
    for name in sorted(available_profiles(folders)):
        try:
            found.append(find_profile(name, folders))
        except ProfileError as error:
            warn(str(error))
    if json:
        print_json([asdict(one) for one in found])
        return
    show(
        Column("device", [one.name for one in found]),
        [
            left("", [one.title for one in found]),
            left("runs on", [_runs_on(one) for one in found]),
            left("runtime", [one.runtime for one in found]),
            left("where", [one.address or one.target for one in found]),
            left("based on", [one.based_on or "–" for one in found]),
        ],
        to=console(),
    )


def show_device(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A device, or a path to its .toml.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show all that the profile of a device says."""
    from edgeshrink.cli.display.tables import console, write

    found = find_profile(name, registry().profile_folders, trust=True)  # nothing of it is run
    if json:
        print_json(asdict(found))
        return
    to = console()
    write(f"{found.name}: {found.title}" if found.title else found.name, to=to)
    for key, value in asdict(found).items():
        if key in ("name", "title") or value in (None, "", (), {}):
            continue
        if isinstance(value, dict):
            for what, said in value.items():
                where = "" if key == "hardware" else f"{key}, "
                write(f"{where}{what}: {_text(said)}", to=to, lead="  ")
            continue
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else _text(value)
        write(f"{key.replace('_', ' ')}: {text}", to=to, lead="  ")


def _runs_on(device: DeviceProfile) -> str:
    return f"emulated {device.accelerator}" if device.emulated else device.accelerator


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
