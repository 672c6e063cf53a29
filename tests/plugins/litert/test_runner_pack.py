"""The runner as one file: the same bytes each time, and complete."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from edgeshrink_litert import pack
from edgeshrink_litert.runner.result import read_result


def test_the_archive_is_reproducible_and_holds_all_modules(monkeypatch):
    first = pack.packed()
    pack.packed.cache_clear()
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(0))
    assert pack.packed() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {f"edgeshrink_runner/{p.name}" for p in pack.RUNNER.glob("*.py")} < set(names)
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        assert archive.testzip() is None
    assert len(first) < 150_000


def test_the_archive_runs_alone_and_leaves_nothing(tmp_path):
    runner = tmp_path / "it is ü" / "runner.pyz"
    runner.parent.mkdir()
    runner.write_bytes(pack.packed())
    job = runner.with_name("job.json")
    job.write_text(json.dumps({"kind": "facts", "id": "a1"}))
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-B", str(runner), str(job)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=env,
    )
    facts = read_result(done.stdout, "a1")
    assert facts["runtime"] == "ai-edge-litert"
    assert sorted(p.name for p in runner.parent.iterdir()) == ["job.json", "runner.pyz"]


def test_modules_are_small_and_few_of_the_standard_library_are_needed():
    for path in pack.RUNNER.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 210, path
    assert Path(pack.RUNNER, "__main__.py").is_file()
