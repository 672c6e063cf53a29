"""Folders that can be made again: run folders and caches, marked as ours by a file in them."""

from __future__ import annotations

import os
from pathlib import Path

from edgeshrink.models.writing import PREFIX, write_text

MARK = ".edgeshrink"
SAYS = "Made by edgeshrink, which can make it again; `edgeshrink clean` removes it.\n"


def cache_folder(name: str) -> Path:
    """Return the folder of the user's cache for something; it may not exist.

    It is `$XDG_CACHE_HOME/edgeshrink/NAME`, by default below `~/.cache`.

    Args:
        name: of what is kept there and can be made or fetched again, such as `wheels`; empty for
            the folder of all caches.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "edgeshrink", name)


def make_ours(folder: Path) -> None:
    """Make a folder if it is not there, and mark it as ours where nothing of others is in it.

    Marked folders, and nothing else, are what `edgeshrink clean` removes.

    Raises:
        OSError: it cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    others = (path for path in folder.iterdir() if not path.name.startswith(PREFIX))
    ours = (folder / MARK).exists() or not any(others)
    if ours and not marked(folder):  # what has our name and is none of ours is damaged
        try:
            write_text(folder / MARK, SAYS)
        except FileNotFoundError:  # another process marked it, and cleared it of parts
            if not marked(folder):
                raise


def marked(folder: Path) -> bool:
    """Tell whether a folder is ours; a link to one is not."""
    try:
        return not folder.is_symlink() and (folder / MARK).read_text(encoding="utf-8") == SAYS
    except (OSError, ValueError):
        return False


def bytes_in(folder: Path) -> int:
    """Return how many bytes the files in a folder have; what is gone meanwhile has none."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(parent, name)).st_size
            except OSError:
                continue
    return total
