"""LiteRT as a runtime: Google's library, once TensorFlow Lite, driven from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import Backend, DeviceProfile, ProfileError, Progress, Runtime, Target, build
from edgeshrink_litert.options import Options

if TYPE_CHECKING:
    from edgeshrink_litert.session import LiteRTSession

ACCELERATORS = ("cpu", "gpu")


class LiteRT(Runtime):
    """Google's LiteRT, once TensorFlow Lite, by the Python that the device has."""

    name, Options, unpacks = "litert", Options, True

    def setup(self, target: Target, profile: DeviceProfile, progress: Progress) -> list[str]:
        """Install LiteRT for the device's Python, from this machine; return what, pinned."""
        from edgeshrink_litert.installing import provision

        return provision.setup(target, profile, progress)

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> LiteRTSession:
        """Push the runner and ask the device for its facts.

        Raises:
            CommandFailed: the device has no Python, or no runtime for it.
            ProfileError: the profile asks for an accelerator that LiteRT is not driven on here.
        """
        from edgeshrink_litert.session import LiteRTSession

        if profile.accelerator not in ACCELERATORS:
            raise ProfileError(
                f"device profile {profile.name!r}: the runtime litert runs models on a cpu or a "
                f"gpu; received {profile.accelerator!r}"
            )
        options = build(Options, profile.options, f"[options] of {profile.name}")
        if profile.accelerator == "gpu" and "kernels" in profile.options:
            raise ProfileError(
                f"device profile {profile.name!r}: kernels are those of a cpu; this one has a gpu"
            )
        return LiteRTSession(target, workdir, profile, options)

    def open_backend(
        self, backend: Backend, target: Target, workdir: str, profile: DeviceProfile
    ) -> LiteRTSession:
        """Push the runner with another back end; see `Runtime.open_backend`.

        Raises:
            CommandFailed: the device has no Python, or the back end does not work there.
        """
        from edgeshrink_litert.session import LiteRTSession

        return LiteRTSession(target, workdir, profile, Options(), backend)
