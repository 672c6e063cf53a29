"""Start a loopback device: `python -m adbd --root FOLDER`."""

from __future__ import annotations

import argparse
import os
import random
import socket
import threading
from pathlib import Path

from .device import PROPERTIES, Device
from .faults import Faults
from .wire import Link

FEATURES = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir,sendrecv_v2"


def listening(port: int) -> socket.socket:
    """Return a socket that listens; 0 is any free port that adb takes for no emulator's."""
    while True:
        wanted = port or random.randrange(20000, 32000)
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", wanted))
        except OSError:
            server.close()
            if port:
                raise
            continue
        server.listen(8)
        return server


def main() -> None:
    """Serve clients until killed."""
    parser = argparse.ArgumentParser(prog="adbd", description="A loopback Android device.")
    parser.add_argument("--root", type=Path, required=True, help="the folder of its files")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--chroot", action="store_true", help="run commands inside the folder")
    parser.add_argument("--shell", default="", help="the shell that runs commands")
    parser.add_argument("--path", default=os.environ.get("PATH", os.defpath))
    parser.add_argument("--auth", choices=("none", "accept", "reject"), default="none")
    parser.add_argument("--features", default=FEATURES, help="empty: a device before Android 7")
    parser.add_argument("--property", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--faults", type=Path, help="a JSON file; see adbd/faults.py")
    chosen = parser.parse_args()
    device = Device(
        root=chosen.root.resolve(),
        faults=Faults(chosen.faults),
        chroot=chosen.chroot,
        shell=chosen.shell or ("/system/bin/sh" if chosen.chroot else "/bin/sh"),
        path=chosen.path,
        auth=chosen.auth,
        features=tuple(filter(None, chosen.features.split(","))),
        properties=PROPERTIES | dict(pair.split("=", 1) for pair in chosen.property),
    )
    device.install()
    server = listening(chosen.port)
    print(f"listening on 127.0.0.1:{server.getsockname()[1]}", flush=True)
    while True:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Link(client, device).run, daemon=True).start()


if __name__ == "__main__":
    main()
