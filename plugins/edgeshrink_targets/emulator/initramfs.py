"""A cpio archive as the Linux kernel unpacks it at boot (the format `newc`)."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Mapping


def initramfs(folders: tuple[str, ...], files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return a compressed archive; equal arguments give equal bytes.

    Args:
        folders: paths without a leading slash, parents first.
        files: for each path its mode (permissions only) and its content.
    """
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in folders]
    entries += [(name, stat.S_IFREG | mode, data) for name, (mode, data) in files.items()]
    blocks = [_entry(number, *entry) for number, entry in enumerate(entries, 1)]
    blocks.append(_entry(0, "TRAILER!!!", 0, b""))
    return gzip.compress(b"".join(blocks), mtime=0)


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    """Return one file: thirteen numbers of eight hexadecimal digits, its name, its content."""
    path = name.encode() + b"\0"
    owner = group = modified = device = 0
    links = 1
    fields = [number, mode, owner, group, links, modified, len(data)]
    fields += [device, device, device, device, len(path), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + path) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
