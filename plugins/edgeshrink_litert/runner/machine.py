"""Small things that a Linux machine says of itself in files."""

import os


def read_text(path, root="/"):
    """Return a small file's text, or an empty one if it cannot be read.

    Args:
        path: without the first slash.
        root: the folder that stands for the root of the file system.
    """
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20).strip("\0\n ")
    except OSError:
        return ""


def read_whole(path, root="/"):
    """Return the whole number that a file holds, or None."""
    text = read_text(path, root)
    try:
        return int(text)
    except ValueError:
        return None


def values(text, name):
    """Return all values of `name: value` lines, in order, without those that are empty."""
    found = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name and value.strip():
            found.append(value.strip())
    return found


def memory_bytes(key):
    """Return VmRSS or VmHWM of this process in bytes, or None where the system does not tell."""
    for value in values(read_text("proc/self/status"), key):
        return int(value.split()[0]) * 1024
    return None


def used_cores():
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores():
    """Return how many cores this process may use."""
    return len(used_cores())
