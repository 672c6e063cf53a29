#!/usr/bin/env bash
# emlearn's C of a tree answers otherwise than the tree where a sample lies at a whole number below a
# threshold, unless dtype="float" is given: thresholds are cut to 16-bit whole numbers, 3.5 to 3, and
# 3 is then no longer below it. With features in 0..1 all thresholds become 0, and the forest guesses.
#
# Seen with emlearn 0.23.2, scikit-learn 1.9.1 and numpy 2.4.6, Python 3.11, gcc on Linux x86-64.
# scikit-learn halves the way between two samples, so that whole numbers give thresholds of .5: the
# ordinary case of bytes and counts. Doubled features have thresholds that are whole.
# What it printed:
#
#   A threshold of 3.5 and a sample of 3: scikit-learn says 0, emlearn 1, with dtype="float" 0
#   Digits 0..16: scikit-learn 97.8 %, emlearn 96.4 %, with dtype="float" 97.6 %
#   Digits 0..1: scikit-learn 97.8 %, emlearn 10.0 %, with dtype="float" 97.6 %
#
# usage: emlearn-cuts-thresholds.sh    (exits with 1 if that is no longer so; needs a C compiler)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    emlearn==0.23.2 scikit-learn==1.9.1 numpy==2.4.6
cd "$work"
cat > seen.py <<'PYTHON'
import emlearn
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier


def compiled(model, samples, **more):
    """Return what emlearn's C of a model says."""
    return np.asarray(emlearn.convert(model, method="inline", **more).predict(samples))


tree = DecisionTreeClassifier(random_state=0).fit([[3], [4]], [0, 1])
at = np.array([[3.0]])
print(
    f"A threshold of {tree.tree_.threshold[0]} and a sample of 3: scikit-learn says "
    f"{tree.predict(at)[0]}, emlearn {compiled(tree, at)[0]}, with dtype=\"float\" "
    f"{compiled(tree, at, dtype='float')[0]}"
)
x, y = load_digits(return_X_y=True)
test = np.arange(len(x)) % 4 == 0
for span, values in (("0..16", x), ("0..1", x / 16)):
    forest = RandomForestClassifier(20, random_state=0).fit(values[~test], y[~test])
    own = forest.predict(values[test])
    cut, kept = (compiled(forest, values[test], **m) for m in ({}, {"dtype": "float"}))
    told = [f"{100 * (said == y[test]).mean():.1f} %" for said in (own, cut, kept)]
    print(
        f"Digits {span}: scikit-learn {told[0]}, emlearn {told[1]}, with dtype=\"float\" {told[2]}"
    )
PYTHON
"$work/venv/bin/python" seen.py 2> seen.log | tee seen.txt || (cat seen.log; exit 1)
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - seen.txt
echo "as it was seen"
