"""Ways in which a file of a run's folder may be damaged, and the same command run again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from crashing import COMPRESS, Commands, outcome, said


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else b"x"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "junk": lambda data: bytes(range(256)) * 4,
    "list": lambda data: b"[1, 2]",
    "object": lambda data: b"{}",
}
KINDS = [*DAMAGES, "folder", "gone"]


def damage(path: Path, kind: str) -> None:
    if kind in DAMAGES:
        path.write_bytes(DAMAGES[kind](path.read_bytes()))
        return
    path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / "inside").write_text("junk")


def repaired(commands: Commands, calm: Path, place: Path, paths: list[Path], kind: str) -> str:
    """Damage files of a finished run's folder, run the command again; return what it said."""
    shutil.copytree(calm, place)
    for path in paths:
        damage(place / path, kind)
    for path in outcome(place, "x"):
        (place / path).unlink()
    assert commands.run(place, *COMPRESS) == 0, (paths, kind, said(place))
    assert outcome(place, "x") == outcome(calm, "x"), (paths, kind)
    return said(place)


def files_of(calm: Path) -> list[Path]:
    return sorted(p.relative_to(calm) for p in (calm / "x.run").rglob("*") if p.is_file())
