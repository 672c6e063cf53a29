#!/usr/bin/env bash
# np.sort puts 16-bit floats in the wrong order where some are negative and many are the same, and so
# np.unique returns a value several times: who counts the distinct values of a float16 file is misled.
#
# Seen with NumPy 2.0.2 and 2.4.6, Python 3.11, on x86-64 with AVX-512 VBMI2, which these sort 16-bit
# floats with. NumPy 1.26.4 is right, and so are 2.4.6 with that switched off, a stable sort, and
# values that are all positive. Found in float16 weights of 16 shared values.
# What it printed:
#
#   NumPy 1.26.4: sorted, 8 distinct of 8
#   NumPy 2.0.2: not sorted, more than 8 distinct of 8
#   NumPy 2.4.6: not sorted, more than 8 distinct of 8; without AVX-512: sorted, 8 distinct of 8
#
# usage: numpy-sorts-16-bit-floats-wrongly.sh    (exits with 1 if that is no longer so)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
if ! grep -qw avx512_vbmi2 /proc/cpuinfo 2> /dev/null; then
    echo "this processor has no AVX-512 VBMI2: it cannot be seen here"
    exit 0
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cat > "$work/seen.py" <<'PYTHON'
import numpy as np

values = np.arange(-8, 0).astype(np.float16)
rng = np.random.default_rng(0)
drawn = [rng.choice(values, 20000) for _ in range(20)]
rising = all((np.diff(np.sort(one).astype(np.float32)) >= 0).all() for one in drawn)
most = max(len(np.unique(one)) for one in drawn)
count = "8" if most == 8 else "more than 8"
print(f"{'sorted' if rising else 'not sorted'}, {count} distinct of 8")
PYTHON
for version in 1.26.4 2.0.2 2.4.6; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check "numpy==$version"
    said="NumPy $version: $("$work/$version/bin/python" "$work/seen.py")"
    if [ "$version" = 2.4.6 ]; then
        off="AVX512_SPR AVX512_ICL AVX512_SKX"
        said+="; without AVX-512: $(NPY_DISABLE_CPU_FEATURES="$off" \
            "$work/$version/bin/python" -W ignore "$work/seen.py")"
    fi
    echo "$said"
done | tee "$work/seen.txt"
sed -n 's/^#   \([A-Z].*\)/\1/p' "$here" | diff - "$work/seen.txt"
echo "as it was seen"
