"""The page of what each method gains on each device, of benchmarks/results/truth_table.json."""

from __future__ import annotations

from typing import Any

TITLES = {"mnist_lenet5": "LeNet-5", "mlperf_resnet8_cifar10": "ResNet-8"}
HEAD = """# What makes what faster

What a method gains depends on the device. Here each method meets each device, on two small
networks. Numbers of a column are made in the same way; how is in its head:

- **counted**: bytes of a file, or of what a compiler or an interpreter laid out;
- **measured**: medians of runs here, as a share of the float file's. On one device all files took
  turns in one run, on one thread. RAM is what the process grew by for the model. ARM64 is
  LiteRT on a Cortex-A72 that qemu emulates: it runs the same files, and its times say nothing;
- **estimated**: cycles as the compiler Vela reckons them. Nothing was run on an NPU.

Nothing was trained afterwards (`--epochs 0`): sizes and speed depend on where zeros and equal
values are, and not on what the weights are. What accuracy a method costs is therefore not here. A
file that a device refuses has a number, and its reason is below the table.

This page is made by `{command}`, of
[truth_table.json](../../benchmarks/results/truth_table.json): {cpu}, {cores} cores, {versions}.
"""
LOAD = """
The machine was busy with other work meanwhile. Medians of files that take turns bear that, a
difference of a few hundredths does not.
"""
NOISE = 0.97  # shares above it are no difference that was shown
SHOWN = ("ai-edge-litert", "openvino", "tflite-micro", "ethos-u-vela")


class Reasons:
    """Why files were refused, each with a number."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def mark(self, reason: str) -> str:
        """Return what stands in the cell of a file that was refused."""
        if reason not in self.known:
            self.known.append(reason)
        return f"refused ({self.known.index(reason) + 1})"


def page(known: dict[str, Any]) -> str:
    """Return the page."""
    machine = known["machine"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in SHOWN)
    head = HEAD.format(command=known["command"], versions=versions, **_named(machine))
    parts = [head + LOAD]
    parts += [_model(model, found) for model, found in known["models"].items()]
    return "\n".join(parts)


def _named(machine: dict[str, Any]) -> dict[str, Any]:
    return {"cpu": machine["cpu"], "cores": machine["cores"]}


def _model(model: str, found: dict[str, Any]) -> str:
    files, devices, why = found["files"], found["devices"], Reasons()
    first = ["method", "download, counted", "file, counted"]
    first += [f"{n}, measured" for n in ("LiteRT time", "LiteRT RAM")]
    first += [f"{n}, measured" for n in ("OpenVINO time", "OpenVINO RAM", "ARM64 RAM")]
    second = ["method", "TFLM flash, counted", "TFLM RAM, counted"]
    for npu in ("U55-128", "U85-256"):
        second += [f"{npu} {n}" for n in ("flash, counted", "SRAM, counted", "cycles, estimated")]
    processors, small = [first], [second]
    for method, file in files.items():
        row = [method, f"{file['deflated']:,}", f"{file['bytes']:,}"]
        for device in ("desktop", "openvino"):
            row += _processor(devices[device], method, why)
        processors.append([*row, _ram(devices["emulated-rpi4"][method], why)])
        one = devices["tflm"][method]
        ran = "refused" not in one
        row = [method, f"{file['bytes']:,}" if ran else why.mark(one["refused"])]
        row.append(f"{one['arena_bytes']:,}" if ran else "–")
        for device in ("ethos-u55-128", "ethos-u85-256"):
            row += _npu(devices[device], method, why)
        small.append(row)
    title = f"## {TITLES[model]}\n"
    commands = "\n".join(f"- {name}: `{file['flags']}`" for name, file in files.items())
    reasons = "\n".join(f"{n}. {_words(said)}" for n, said in enumerate(why.known, 1))
    return "\n".join(
        (
            title,
            _best(files, devices),
            "### On processors\n",
            _table(processors),
            "\n### On microcontrollers and NPUs\n",
            _table(small),
            f"\nRefused:\n\n{reasons}\n\nThe methods:\n\n{commands}\n",
        )
    )


def _best(files: dict[str, Any], devices: dict[str, Any]) -> str:
    """Return which method is the best in each column, beside float or int8."""
    columns = (
        ("download", files, "deflated", "float"),
        ("time in LiteRT", devices["desktop"], "median_ms", "float"),
        ("time in OpenVINO", devices["openvino"], "median_ms", "float"),
        ("RAM in TFLM", devices["tflm"], "arena_bytes", "int8"),
        ("flash of a U55-128", devices["ethos-u55-128"], "stored_bytes", "int8"),
        ("cycles of a U55-128, estimated", devices["ethos-u55-128"], "cycles", "int8"),
        ("cycles of a U85-256, estimated", devices["ethos-u85-256"], "cycles", "int8"),
    )
    lines = []
    for what, rows, key, base in columns:
        known = {method: one[key] for method, one in rows.items() if key in one}
        best = min(known, key=lambda method: known[method])
        share = known[best] / known[base]
        lines.append(
            f"- least {what}: {best}, {share:.2f} of what {base} takes"
            if share < NOISE
            else f"- {what}: nothing is shown to take less than {base}"
        )
    return "\n".join(lines) + "\n"


def _processor(said: dict[str, Any], method: str, why: Reasons) -> list[str]:
    one = said[method]
    if "refused" in one:
        return [why.mark(one["refused"]), "–"]
    base = said["float"]["median_ms"]
    share = f"{one['median_ms'] / base:.2f}"
    if method == "float":
        share = f"1 ({one['median_ms'] * 1000:.3g} µs)"
    return [share, _ram(one, why)]


def _ram(one: dict[str, Any], why: Reasons) -> str:
    if "refused" in one:
        return why.mark(one["refused"])
    memory = one["model_memory_bytes"]
    return "–" if memory is None else f"{memory / 1e6:.1f} MB"


def _npu(said: dict[str, Any], method: str, why: Reasons) -> list[str]:
    one = said[method]
    if "refused" in one:
        return [why.mark(one["refused"]), "–", "–"]
    return [f"{one[name]:,}" for name in ("stored_bytes", "sram_bytes", "cycles")]


def _words(reason: str) -> str:
    return reason.replace("|", "\\|")


def _table(rows: list[list[str]]) -> str:
    head, *rest = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rest))
