"""What it costs that a device is reached by ssh, on a server of our own on loopback.

    python benchmarks/ssh_cost.py --models ../shared/models --data ../shared/data [--rounds 5]

Two costs, each with nothing of it on the device before:

* `push and run`: a file of 4 MB is pushed, run 50 times, and its outputs are fetched (goal: under
  2 s). To connect, and to push and start the runner once, is told apart as `open`.
* `accuracy`: 10,000 MNIST images through ssh, less the same on this machine (goal: 2 s at most).

Device and host are one machine and share its processor, so the difference is that of ssh, of
hashing and of copies; a network's own time comes on top. Rounds alternate between the two sides.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import machine
from predict_throughput import convert

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "benchmarks" / "results" / "ssh_cost.json"
RUNS, PUSH_GOAL_SECONDS, ACCURACY_GOAL_SECONDS = 50, 2.0, 2.0
FIRST_ANSWER_SECONDS = 10.0

SMALL_MOBILENET = """
import os, pathlib, sys, tempfile
import keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(0)
model = keras.applications.MobileNetV2((32, 32, 3), weights=None)
archive = keras.export.ExportArchive()
archive.track(model)
spec = tf.TensorSpec((1, 32, 32, 3), tf.float32, name="image")
archive.add_endpoint("serve", lambda x: model(x, training=False), [spec])
with tempfile.TemporaryDirectory() as saved:
    archive.write_out(saved, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    random = np.random.default_rng(0)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.random((1, 32, 32, 3), np.float32)] for _ in range(20)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    pathlib.Path(sys.argv[1]).write_bytes(converter.convert())
"""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Path]:
    """Yield the configuration file with which `ssh device` reaches a server on loopback."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        raise SystemExit("sshd is not installed: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("client", "host"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(argv, check=True)
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/client.pub\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nSetEnv XDG_CACHE_HOME={folder}/cache\n"
    )
    (folder / "hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    config = folder / "config"
    config.write_text(
        f"Host device\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/client\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {folder}/hosts\n  GlobalKnownHostsFile /dev/null\n"
    )
    argv = [sshd, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    process = subprocess.Popen(argv)
    try:
        until = time.monotonic() + FIRST_ANSWER_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"sshd does not answer: {(folder / 'log').read_text()}")
            time.sleep(0.01)
        yield config
    finally:
        process.terminate()
        process.wait()


def timed(device, model: Path, inputs: Path) -> dict[str, float]:
    """Return the seconds to open a session and to run all samples, on a device without files."""
    import numpy as np

    from edgeshrink.engine import open_session, session_options
    from edgeshrink.plugins import installed

    plugins = installed()
    with plugins.targets[device.target].connect(
        device.address, session_options(device, plugins)[0]
    ) as target:
        target.clean()
    started = time.perf_counter()
    with open_session(device, plugins) as session:
        opened = time.perf_counter()
        (outputs,) = session.predict(model, {"x": inputs}).values()
        done = time.perf_counter()
    closed = time.perf_counter()
    if len(outputs) != len(np.load(inputs, mmap_mode="r")):
        raise SystemExit("outputs are missing")
    return {
        "open": round(opened - started, 3),
        "run": round(done - opened, 3),
        "close": round(closed - done, 3),
    }


def compared(sides: dict, model: Path, inputs: Path, rounds: int) -> dict:
    """Return the rounds of each side, in turns, and the medians of what was run."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    loads = []
    for number in range(rounds):
        loads.append(round(os.getloadavg()[0], 2))
        for name in sorted(sides, reverse=bool(number % 2)):
            found[name].append(timed(sides[name], model, inputs))
    more = [a["run"] - b["run"] for a, b in zip(found["ssh"], found["local"], strict=True)]
    return {
        "bytes": model.stat().st_size,
        "input_bytes": inputs.stat().st_size,
        "seconds": found,
        "load_average": loads,
        "open_seconds": statistics.median(r["open"] for r in found["ssh"]),
        "run_seconds": statistics.median(r["run"] for r in found["ssh"]),
        "more_than_local_seconds": round(statistics.median(more), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    import numpy as np

    from edgeshrink.devices import DeviceProfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, mnist = folder / "mobilenet.tflite", folder / "mnist.tflite"
        argv = [sys.executable, "-c", SMALL_MOBILENET, str(small)]
        subprocess.run(argv, check=True, capture_output=True)
        mnist.write_bytes(convert(options.models, "mnist_lenet5"))
        random = np.random.default_rng(0)
        np.save(folder / "50.npy", random.random((RUNS, 32, 32, 3), np.float32))
        with np.load(options.data / "mnist.npz") as arrays:
            images = arrays["x_test"].astype(np.float32).reshape(-1, 28, 28, 1) / 255
        np.save(folder / "images.npy", images)
        (folder / "server").mkdir()
        with server(folder / "server") as config:
            sides = {
                "ssh": DeviceProfile(
                    "loopback",
                    target="ssh",
                    address="ssh:device",
                    connection={"config": str(config)},
                    python=sys.executable,
                ),
                "local": DeviceProfile("desktop"),
            }
            push = compared(sides, small, folder / "50.npy", options.rounds)
            accuracy = compared(sides, mnist, folder / "images.npy", options.rounds)
    push |= {"goal_seconds": PUSH_GOAL_SECONDS, "met": push["run_seconds"] < PUSH_GOAL_SECONDS}
    more = accuracy["more_than_local_seconds"]
    accuracy |= {"goal_seconds": ACCURACY_GOAL_SECONDS, "met": more <= ACCURACY_GOAL_SECONDS}
    client = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True)
    result = {
        "command": "python benchmarks/ssh_cost.py --models ../shared/models "
        f"--data ../shared/data --rounds {options.rounds}",
        "machine": machine.described(),
        "ssh": client.stderr.strip(),
        "push_and_run": {"model": "MobileNetV2 of 32x32, int8", "samples": RUNS, **push},
        "accuracy": {"model": "mnist_lenet5.keras, float", "samples": len(images), **accuracy},
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(
        f"push and run: {push['run_seconds']:.2f} s (open {push['open_seconds']:.2f} s); "
        f"accuracy: {accuracy['run_seconds']:.2f} s, {more:+.2f} s more than here; "
        f"written to {options.output}"
    )


if __name__ == "__main__":
    main()
