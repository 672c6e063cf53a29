#!/usr/bin/env bash
# MediaPipe's package has Python modules that write metadata into a .tflite, and lacks the compiled
# module that they import: none of them can be imported. What reads metadata works.
#
# Seen with mediapipe 1.2.3, Python 3.11, Linux on x86-64.
# What it printed:
#
#   ImageClassifier: imported
#   metadata_writers.image_classifier: No module named 'mediapipe.tasks.cc'
#   metadata: No module named 'mediapipe.tasks.cc'
#
# usage: mediapipe-metadata-writer-is-incomplete.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mediapipe==1.2.3
cd "$work"
cat > seen.py <<'PYTHON'
import importlib

from mediapipe.tasks.python.vision import ImageClassifier

print(f"{ImageClassifier.__name__}: imported")
for name in ("metadata_writers.image_classifier", "metadata"):
    try:
        importlib.import_module(f"mediapipe.tasks.python.metadata.{name}")
    except ImportError as error:
        print(f"{name}: {error}")
    else:
        print(f"{name}: imported")
PYTHON
"$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Za-z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
