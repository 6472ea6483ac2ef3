#!/usr/bin/env bash
# Everything worth doing on a real GPU, in under ten minutes: whoever gets near one runs this and mends what it shows.
#
#     benchmarks/on_gpu.sh              needs a GPU; writes benchmarks/results/DATE-GPU.json
#     benchmarks/on_gpu.sh --rehearse   the same on the simulator with tiny sizes; writes nothing that stays
#
# A step that fails doesn't keep the next from running. Exit status: 0 all well, 1 a step failed, 2 there is no GPU.
# Nothing is installed: torch, cupy, pytest and compute-sanitizer take part where they are found.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
command -v "$python" > /dev/null || python=python
rehearse=()
if [ "${1:-}" = --rehearse ]; then
    rehearse=(--rehearse)
    export TINYGRAD_EDU_CUDA=simulator
else
    export TINYGRAD_EDU_CUDA=gpu
    if ! "$python" -m benchmarks.on_gpu present; then
        echo "No GPU here: the driver is missing or has no device." >&2
        echo "benchmarks/on_gpu.sh --rehearse runs the same on the simulator, with tiny sizes." >&2
        exit 2
    fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
LIMIT=${LIMIT:-590}                          # seconds in all

step() {                                     # step NAME SECONDS COMMAND...: its output is shown and kept
    local name=$1 limit=$2 begin=$SECONDS status
    local left=$((LIMIT - SECONDS))
    shift 2
    if [ "$left" -lt 5 ]; then
        echo "---- $name was left out: the $LIMIT s are over"
        failed+=("$name")
        return
    fi
    limit=$((limit < left ? limit : left))
    printf '\n==== %s (at %s s, limit %s s)\n' "$name" "$SECONDS" "$limit"
    timeout -k 10 "$limit" "$@" 2>&1 | tee "$work/$name.txt"
    status=${PIPESTATUS[0]}
    [ "$status" -eq 124 ] && echo "---- $name took more than $limit s and was stopped"
    [ "$status" -eq 0 ] || { failed+=("$name"); echo "---- $name FAILED (status $status); going on"; }
    printf '%s %s %s\n' "$name" "$status" "$((SECONDS - begin))" >> "$work/steps"
}
small() { [ ${#rehearse[@]} -gt 0 ]; }
on_gpu() { "$python" -W ignore -m benchmarks.on_gpu "$@" --into "$work" ${rehearse[@]+"${rehearse[@]}"}; }
measured() {                                 # measured NAME SECONDS: a step of on_gpu.py
    step "$1" "$2" "$python" -W ignore -m benchmarks.on_gpu "$1" --into "$work" ${rehearse[@]+"${rehearse[@]}"}
}

measured versions 60
measured first 60
measured launches 60
measured memory 90
measured matmul 90
measured training 90
measured exchange 60

# ---- every file of kernels against its specification
files=$(on_gpu files)
if small; then files=$(head -n 2 <<< "$files"); fi
for file in $files; do
    step "kernels-$file" 40 "$python" -W ignore -m "tinygrad_edu.kernels.$file"
done

# ---- the suite
if "$python" -c "import pytest" 2> /dev/null; then
    options=(-q -p no:cacheprovider)
    "$python" -c "import xdist" 2> /dev/null && options+=(-n "$(($(nproc) < 8 ? $(nproc) : 8))")
    if small; then
        step suite 120 "$python" -m pytest -q -p no:cacheprovider tests/test_kernels_gpu.py -k words
    else
        step suite 240 "$python" -m pytest "${options[@]}" --maxfail=40 tests -k "cuda or kernels"
    fi
else
    echo "---- no pytest: the suite was not run"
fi

# ---- out of bounds, races, memory read before it was written; without the pool, so that bounds are those of the arrays
if command -v compute-sanitizer > /dev/null && ! small; then
    export PYTORCH_NO_CUDA_MEMORY_CACHING=1
    for tool in memcheck racecheck initcheck; do
        mkdir -p "$work/$tool"
        step "$tool" 45 compute-sanitizer --tool "$tool" --error-exitcode 9 \
            "$python" -W ignore -m benchmarks.on_gpu first --into "$work/$tool"
    done
else
    echo "---- no compute-sanitizer: bounds and races were not checked on the GPU"
fi

printf '\n==== results (%s s in all)\n' "$SECONDS"
on_gpu collect || failed+=(collect)
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all steps passed"
