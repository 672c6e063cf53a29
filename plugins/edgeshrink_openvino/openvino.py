"""OpenVINO as a runtime, by the runner that LiteRT has: timed and checked in the same way."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from edgeshrink.api import (
    Backend,
    DeviceProfile,
    Package,
    Runtime,
    Session,
    Target,
    UsageError,
    build,
)
from edgeshrink_openvino.options import Options

PACKAGE = Package("openvino", "the runtime openvino: models on Intel's processors, GPUs and NPUs")
MODULE = Path(__file__).with_name("backend.py")


class OpenVINO(Runtime):
    """Intel's OpenVINO, which reads .tflite files itself, by its Python package on the device."""

    name, Options, unpacks = "openvino", Options, True

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> Session:
        """Push the runner, and ask OpenVINO for the device that the profile's accelerator names.

        Raises:
            UsageError: the package is not installed, or LiteRT's plugin is not there.
            CommandFailed: OpenVINO does not start there, or has no such device.
        """
        options = build(Options, profile.options, f"[options] of {profile.name}")
        if target.here and not profile.python and not PACKAGE.version():
            raise UsageError(
                "the runtime openvino needs OpenVINO, which is not installed", hint=PACKAGE.install
            )
        backend = Backend(MODULE, PACKAGE, asdict(options))
        return self.other("litert").open_backend(backend, target, workdir, profile)
