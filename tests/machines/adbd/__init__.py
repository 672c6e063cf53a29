"""A loopback Android device, to which the real adb client talks; standard library only.

It speaks the device's side of the debug bridge (CNXN, AUTH, OPEN, OKAY, WRTE, CLSE) and offers
the services that deploying needs: `shell,v2`, the `shell` of old devices, `exec`, `sync` in both
versions, and `tcp`. Start it from the folder above, and connect a client:

    python -m adbd --root phone
    listening on 127.0.0.1:34567
    adb connect 127.0.0.1:34567

The device's files live under `--root`. With `--chroot` (as root) commands run in there, in
whatever userland was put there; otherwise `/data/local/tmp` and `/sdcard` in the text of a command
become folders under `--root`, and a shell of this machine runs it. See `faults` for what can go
wrong on purpose.
"""
