from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeshrink import cli, selftest
from edgeshrink.cli import failures
from edgeshrink.cli.commands.compress import NO_MIX, shapes
from edgeshrink.errors import TargetError, UsageError
from edgeshrink.models import import_object, refused

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["comprss"], 2, "error: no command 'comprss'\nhint:  did you mean 'compress' or"),
        (["--nonsense"], 2, "error: no option '--nonsense'\n"),
        (["compress"], 2, "error: missing argument 'MODEL'\nhint:  `edgeshrink compress --help`"),
        (["compress", "m", "--prun", "1"], 2, "error: no option '--prun'\nhint:  did you mean '--"),
        (["compress", "m", "--device"], 2, "error: option '--device' requires an argument\n"),
        (["compress", "m", "n"], 2, "error: got unexpected extra argument"),
        (["compress", "missing.keras"], 2, "error: no model file 'missing.keras'\n"),
        (["compress", "m", "--step", "nonsense"], 2, "error: no method 'nonsense'\n"),
        (["compress", "m", "--recipe", "r.toml"], 2, "error: no recipe file 'r.toml'\n"),
        (["compress", "m", "--recipe", "."], 2, "error: recipe '.' cannot be read: "),
        (["compress", "m", "--recipe", "r", "--step", "s"], 2, f"error: {NO_MIX}\n"),
        (["compress", "m", "--seed", "-1"], 2, "error: compress: seed must be a whole number at"),
        (["compress", "m", "--seed", "x"], 2, "error: compress: seed must be a whole number at"),
        (["compress", "m", "--epochs", "1.5"], 2, "error: training: epochs must be a whole number"),
        (
            ["compress", "m", "--teacher", "me"],
            2,
            "error: training: teacher must be original, only or",
        ),
        (["compress", "m", "--calibration", "0"], 2, "error: compress: calibration must be a"),
        (["compress", "m", "--input-shape", "1,x"], 2, "error: --input-shape must be whole"),
        (["bench"], 2, "error: missing argument 'MODELS...'\n"),
        (
            ["bench", "m", "--rules", "slow"],
            2,
            "error: bench: rules must be one of smoke, demo, quick,",
        ),
        (["bench", "m", "--threads", "0"], 2, "error: bench: threads must be a whole number at"),
        (["bench", "m", "-o", "m"], 2, "error: -o would overwrite m\n"),
        (["bench", "m", "-o", "no/r.json"], 2, "error: no folder 'no' to write no/r.json to\n"),
        (["inspect", "missing"], 2, "error: no model file 'missing'\n"),
        (
            ["devices", "show", "deskto"],
            2,
            "error: no device profile 'deskto'\nhint:  did you mean",
        ),
        (["devices", "shw"], 2, "error: no such command 'shw'"),
        (["methods", "nonsense"], 2, "error: no method 'nonsense'\n"),
        (["report", "missing"], 2, "error: no report in 'missing'\nhint:  name a run folder"),
        (["report", "x", "--format", "nonsense"], 2, "error: no format 'nonsense'\n"),
        (["compare", "one"], 2, "error: compare needs two reports or more\n"),
    ],
)
def test_what_the_command_line_shows_is_wrong_in_a_line_with_exit_code_2(
    argv: list[str], code: int, said: str, capsys: Captured, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(argv) == code
    out, err = capsys.readouterr()
    errors = "".join(line for line in err.splitlines(True) if not line.startswith("warning: "))
    assert errors.startswith(said)
    assert "Traceback" not in errors
    assert out == ""


def test_wrong_content_is_exit_code_1(tmp_path: Path, capsys: Captured) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("sed = 3")
    assert cli.run(["compress", "m", "--recipe", str(recipe)]) == 1
    assert "has an unknown key 'sed'\nhint:  did you mean 'seed'" in capsys.readouterr().err
    text = tmp_path / "report.json"
    text.write_text('{"schema": 99}')
    assert cli.run(["report", str(text)]) == 1
    assert "a report of schema 3 is needed; received 99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("wrong", hint="right"), 2, "error: wrong\nhint:  right\n"),
        (TargetError("lost"), 3, "error: lost\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\nhint:  the same command resumes after"),
        (MemoryError(), 1, "error: out of memory\nhint:  "),
        (OSError(errno.ENOSPC, "No space", "a/b"), 1, "error: the disk is full: a/b\nhint:  the"),
        (
            PermissionError(errno.EACCES, "Denied", "x"),
            1,
            "error: denied: x\nhint:  choose a folder",
        ),
        (OSError(errno.EROFS, "Read-only", "x"), 1, "error: read-only: x\nhint:  choose a folder"),
        (
            RuntimeError("can't start new thread"),
            1,
            "error: no more threads can be started on this machine\nhint:  end other programs, or "
            "raise the limit (ulimit -u); the same command resumes then\n",
        ),
        (
            BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
            1,
            "error: no more processes can be started on this machine (Resource temporarily",
        ),
        (
            OSError(errno.EIO, "Broken", "x"),
            1,
            "error: the disk could not be read or written: x\nhint:  the disk may be failing; the "
            "same command resumes, or takes another place with -o and --run\n",
        ),
        (
            refused(errno.EFBIG, Path("x"), 12_345_678),
            1,
            "error: a file would be larger than is allowed here: x, which takes 12.3 MB; ",
        ),
        (
            refused(errno.EDQUOT, Path("x"), 12_345_678),
            1,
            "error: the disk is full: x, which takes 12.3 MB; ",
        ),
        (ZeroDivisionError("by\nzero"), 1, "error: unexpected ZeroDivisionError: by zero\nhint:"),
        (AssertionError(), 1, "error: unexpected AssertionError\nhint:  --debug shows where\n"),
    ],
)
def test_each_failure_has_its_words_and_its_code(
    error: BaseException, code: int, said: str, capsys: Captured
) -> None:
    assert failures.tell(error, ["compress", "m"]) == code
    assert capsys.readouterr().err.startswith(said)


def test_only_debug_shows_where(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.run(["compress", "missing.keras"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert cli.run(["compress", "missing.keras", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("EDGESHRINK_DEBUG", "1")
    assert cli.run(["compress", "missing.keras"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("methods --json | head -0", 141, ""),
        ("methods --json 2>&1 | head -0", 141, ""),
        ("nonsense 2>&1 | head -0", 141, ""),
        ("doctor | head -0", 141, ""),  # drawn by rich, which ends Python by itself
        ("inspect no.keras 2>&1 | head -0", 141, ""),  # by a worker
        ("methods >&-", 0, ""),
        ("methods >&- 2>&- <&-", 0, ""),
        ("inspect no.keras <&-", 2, "error: no model file 'no.keras'\n"),
        ("inspect no.keras >&- 2>&- <&-", 2, ""),
        ("nonsense 2>&-", 2, ""),
        ("nonsense 2>/dev/full", 2, ""),
        ("methods >/dev/full", 1, "error: the disk is full\nhint:  make room\n"),
    ],
)
def test_streams_that_are_closed_broken_or_full(
    command: str, code: int, said: str, tmp_path: Path
) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    program = f"{sys.executable} -m edgeshrink.cli {command}"
    if "head -0" in command:  # the reader is gone before anything is written
        program = program.replace(f"{sys.executable}", f"(sleep 0.3; exec {sys.executable}", 1)
        program = program.replace(" | ", ") | ").replace(" 2>&1)", ") 2>&1")
    script = f"{program}; echo ${{PIPESTATUS[0]}} >&3"
    read, write = os.pipe()
    with os.fdopen(read) as codes:
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{write}; {script}"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            check=True,
            cwd=tmp_path,
            pass_fds=[write],
        )
        os.close(write)
        assert int(codes.read()) == code
    assert done.stderr == said


@pytest.mark.parametrize("code", ["0", "", "'done'"])
@pytest.mark.parametrize("call", ["sys.exit", "exit"])
def test_a_user_s_code_that_leaves_python_is_a_failure(
    code: str, call: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"leaves_{abs(hash((code, call)))}"
    (tmp_path / f"{name}.py").write_text(f"import sys\ndef data():\n    {call}({code})\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "x.tflite").write_bytes(
        Path(selftest.__file__).with_name("float.tflite").read_bytes()
    )
    monkeypatch.chdir(tmp_path)
    assert cli.run(["bench", "x.tflite", "--data", f"{name}:data"]) == 1
    err = capsys.readouterr().err
    value = {"0": "0", "": "None", "'done'": "'done'"}[code]
    assert f"error: code that was run called sys.exit({value}) in {tmp_path}" in err
    assert f"{name}.py, line 3\nhint:  it must return, or raise an error\n" in err


def test_a_module_that_leaves_python_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "leaves_at_once.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="importing leaves_at_once failed: SystemExit: 0"):
        import_object("leaves_at_once:data", what="--data")


def test_an_interrupt_says_that_the_run_can_be_resumed(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeshrink.engine

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(edgeshrink.engine, "plan", interrupted)
    assert cli.run(["compress", "m"]) == 130
    err = capsys.readouterr().err.strip()
    assert err.endswith(
        "error: interrupted\nhint:  the same command resumes after the last whole step"
    )


def test_a_plugin_warning_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "edgeshrink_broken_one.py").write_text("1 / 0")
    info = tmp_path / "edgeshrink_broken_one-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: edgeshrink-broken-one\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text("[edgeshrink]\nbroken = edgeshrink_broken_one\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "edgeshrink.cli", "plugins"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    line = "plugin 'broken' was left out: ZeroDivisionError: division by zero"
    assert done.stderr.count(line) == 1
    assert "broken was left out: ZeroDivisionError" in done.stdout


def test_shapes_are_read_by_name() -> None:
    assert shapes(["1,8,8,3"]) == {"": (1, 8, 8, 3)}
    assert shapes(["a=1,2", "b=1"]) == {"a": (1, 2), "b": (1,)}
    for wrong in ("", "a=", "1,-2", "a=1,0", "1;2"):
        with pytest.raises(UsageError, match="--input-shape must be whole numbers"):
            shapes([wrong])
    with pytest.raises(UsageError, match="gives a two shapes"):
        shapes(["a=1", "a=2"])
