"""Talk with the runner on a device: a job goes there, progress and a checked answer come back."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeshrink.api import Backend, CommandFailed, DeviceProfile, EdgeshrinkError, Progress, Target
from edgeshrink_litert.answers import Answer, clean
from edgeshrink_litert.failures import explain, signal_sentence
from edgeshrink_litert.installing.provision import interpreter, launch
from edgeshrink_litert.pack import NAME, packed
from edgeshrink_litert.runner.result import read_result

# What a shell answers for a program that is not there, or cannot be started.
NO_PROGRAM = (126, 127)


class Conversation:
    """The runner, put on a device, and the jobs that it is given.

    Attributes:
        unpacks: whether Python there has the numpy that unpacking needs.

    Args:
        target: the device.
        workdir: a folder there that nothing else uses.
        profile: tells how Python is started.
        always: what every job says.
        backend: what runs models there in place of LiteRT.
    """

    def __init__(
        self,
        target: Target,
        workdir: str,
        profile: DeviceProfile,
        always: Mapping[str, Any],
        backend: Backend | None = None,
    ) -> None:
        self.backend = backend
        self.target, self.workdir, self.profile = target, workdir, profile
        self.python = interpreter(target, profile)[-1]
        self.launch = launch(target, profile)
        self.always = {"launch": list(self.launch), **always}
        self.left: list[str] = []
        self.unpacks = True
        self.folder = tempfile.TemporaryDirectory(prefix="edgeshrink-")
        try:
            file = Path(self.folder.name, NAME)
            file.write_bytes(packed(backend.module if backend else None))
            self.runner = target.place(file)
        except BaseException:
            self.folder.cleanup()
            raise

    def close(self) -> None:
        """Remove the files of jobs there and here; the runner stays in the device's cache."""
        try:
            if self.left:
                # without room here for what the device says, its files stay there
                with contextlib.suppress(EdgeshrinkError, OSError):
                    self.remove(*self.left)
        finally:
            self.left.clear()
            self.folder.cleanup()

    def remote(self, name: str) -> str:
        """Return the path of a file in the working folder."""
        return f"{self.workdir}/{name}"

    def remove(self, *paths: str) -> None:
        """Remove files on the device."""
        self.target.run("rm", "-f", "--", *paths, timeout=30)

    def run(
        self,
        job: Mapping[str, Any],
        what: str,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Answer:
        """Run a job to its end and return its whole answer.

        Args:
            job: plain JSON values.
            what: what went wrong if it fails, as the beginning of a sentence.
            timeout: seconds; None waits for ever.
            progress: told the share done and a note.

        Raises:
            CommandFailed: Python cannot be started there, the runner failed or was killed, or
                its answer is not whole.
        """
        job_id = uuid.uuid4().hex[:12]
        remote = self.remote(f"job-{job_id}.json")
        self.left.append(remote)
        path = Path(self.folder.name, "job.json")
        path.write_text(json.dumps({**self.always, **job, "id": job_id}), encoding="utf-8")
        self.target.push(path, remote)
        path.unlink()
        done = self.target.run(
            *self.launch,
            self.runner,
            remote,
            timeout=timeout or (self.backend and self.backend.seconds),
            watch=lambda line: _tell(line, progress),
        )
        found = read_result(done.stdout, job_id)  # type: ignore[no-untyped-call]
        if found is None:
            raise self._unanswered(done.returncode, done.stderr, what)
        answer = Answer(found, what)
        if "error" in answer:
            raise self._refused(answer.text("error"), what)
        return answer

    def _unanswered(self, code: int, errors: str, what: str) -> CommandFailed:
        if code < 0:
            return CommandFailed(f"{what}: {signal_sentence(-code)}")
        if code in NO_PROGRAM:
            hint = self._setup
            if self.profile.python or self._local:
                hint = "name the device's interpreter in its profile: python = ..."
            return CommandFailed(f"{what}: {self.python} cannot be started there", hint=hint)
        last = clean((errors.strip().splitlines() or ["the answer is not whole"])[-1])
        return CommandFailed(f"{what}: {last} (exit code {code})")

    def _refused(self, error: str, what: str) -> CommandFailed:
        hint = ""
        if error.startswith("no runtime"):
            package = self.backend.package if self.backend else None
            wanted = package.get.removeprefix("pip install ") or package.name if package else ""
            pip = f"on the device: {self.python} -m pip install {wanted or 'ai-edge-litert'}"
            hint = pip if self._local or self.backend else self._setup
        return CommandFailed(f"{what}: {explain(error)}", hint=hint)

    @property
    def _local(self) -> bool:
        return self.profile.target == "local"

    @property
    def _setup(self) -> str:
        return f"`edgeshrink devices setup {self.profile.name}` installs what is needed there"


def _tell(line: str, progress: Progress | None) -> None:
    """Pass on a line of progress; other lines, and numbers that are none, say nothing."""
    word, _, rest = line.partition(" ")
    if word != "progress" or progress is None:
        return
    share, _, note = rest.partition(" ")
    with contextlib.suppress(ValueError):
        number = float(share)
        if math.isfinite(number):
            progress(min(1.0, max(0.0, number)), clean(note))
