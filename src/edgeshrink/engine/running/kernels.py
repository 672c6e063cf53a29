"""Which kernels TensorFlow computes with in this process, and why."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeshrink.engine import workers
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import Artifact, write_text
from edgeshrink.part import version_of
from edgeshrink.texts import from_json

FILE = "kernels.json"


@dataclass(frozen=True)
class Kernels:
    """What TensorFlow computes with; without oneDNN's kernels where a run crashed in them.

    Attributes:
        plain: without oneDNN's.
        signal: that ended a process which had them; empty if that is not why.
        at: what that process was at.
    """

    plain: bool = False
    signal: str = ""
    at: str = ""

    @classmethod
    def of(cls, folder: Path, base: Artifact) -> Self:
        """Choose the kernels of this process, as long as it has not imported TensorFlow.

        What crashed once is remembered in the run folder, so that it does not crash first again.

        Args:
            folder: of the run.
            base: the uncompressed model; another one in the same folder has nothing to do with it.
        """
        whose = {"base": base.digest, "tensorflow": version_of("tensorflow")}
        crashed = os.environ.pop(workers.CRASHED, "")
        if crashed:
            signal, _, at = crashed.partition(" ")
            write_text(folder / FILE, json.dumps({**whose, "signal": signal, "at": at}) + "\n")
        known = _remembered(folder / FILE, whose)
        if known and "tensorflow" not in sys.modules:
            os.environ.setdefault(workers.KERNELS, "0")
        if not workers.has_onednn_off(os.environ):
            return cls()
        workers.without_onednn()
        return cls(True, known.get("signal", ""), known.get("at", ""))

    @property
    def marks(self) -> tuple[Mapping[str, str], ...]:
        """What stages have in their keys, in the order in which to look for them.

        The last is that of stages made by now. What was made with all kernels before the crash
        is as good.
        """
        plain = {"kernels": "without oneDNN"}
        if not self.plain:
            return ({},)
        return ({}, plain) if self.signal else (plain,)

    def notes(self, step: str, *, trained: bool) -> list[str]:
        """Return what the ledger says of a stage that was made by these kernels.

        Args:
            step: in words.
            trained: the step trains.
        """
        if self.signal and (trained or step == self.at):
            during = "in this step" if step == self.at else f"during {self.at}"
            return [
                f"made without oneDNN's kernels: {self.signal} ended the process with them {during}"
            ]
        if self.plain and not self.signal and trained:
            return ["made without oneDNN's kernels: TF_ENABLE_ONEDNN_OPTS is 0"]
        return []


def _remembered(file: Path, whose: Mapping[str, str]) -> dict[str, str]:
    """Return the crash that a file tells of, or nothing where it is not of these."""
    try:
        found = from_json(file.read_bytes(), "it")
    except (OSError, EdgeshrinkError):
        return {}
    keys = {*whose, "signal", "at"}
    if not keys <= found.keys():
        return {}
    same = all(found[key] == value for key, value in whose.items())
    return {key: str(found[key]) for key in ("signal", "at")} if same else {}
