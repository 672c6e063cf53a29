"""Where things are in this repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
LEGACY = DATA / "legacy.zip"
# models and data for tests that are skipped without them
SHARED = ROOT.parent / "shared"
