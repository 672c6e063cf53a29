"""The package that brings TensorFlow Lite Micro."""

from __future__ import annotations

from edgeshrink.api import Package

MICRO = Package("tflite-micro", "the runtime tflm: what a model needs on a microcontroller")
