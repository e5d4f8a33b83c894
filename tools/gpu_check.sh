#!/usr/bin/env bash
# All that only a GPU can show, in one run of less than five minutes and without network: the wheel is
# installed, the tests with the marker gpu run on the card, benchmarks/gpu.py measures. It also compares layers of
# attention and of convolution, at the sizes that it measures, with the CPU's engine and with PyTorch's.
#
#   tools/gpu_check.sh --prepare   without a GPU: builds the wheel, brings that of OpenBLAS, and compiles all
#                                  kernels for sm_90 where NVRTC is installed. All stands in build/gpu_check/
#   tools/gpu_check.sh OUT         on the card: OUT gets environment.txt, tests.log, gpu.json, gpu.log and
#                                  summary.md. A wheel of another Python than the card's is built again there.
#
# PYTHON names the interpreter (default: python3), which may be an environment's; it has what '.[test]' installs,
# CuPy on the card, NVRTC to compile without one ('.[nvrtc]'), and PyTorch where peers are to run. CAVS_DATA is the
# folder that holds sst/; without it trees are generated. TESTS are further arguments for pytest, FIGURES for
# benchmarks/gpu.py, as --limit-table with an absolute path. JOBS files of tests (4) run at a time, each in a process
# of its own, so that one that hangs or breaks the device leaves the others, and in WORKERS processes (3) where
# pytest-xdist is installed. The exit status is 0 where all parts that could run passed; summary.md says of the
# others that they are missing.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
prepared=$root/build/gpu_check
packages=(numpy safetensors tqdm)
usage() { sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

build_wheel() {
  mkdir -p "$prepared" && rm -f "$prepared"/cavs_nn-*.whl
  "$python" -m pip wheel -q --no-deps --no-build-isolation -w "$prepared" "$root" 2>"$prepared/wheel.log" ||
    "$python" -m pip wheel -q --no-deps -w "$prepared" "$root" 2>>"$prepared/wheel.log" ||
    { cat "$prepared/wheel.log" >&2; return 1; }
}
install() {  # install FOLDER NAME: from the wheels, without network, if one is for this Python
  "$python" -m pip install -q --no-index --no-deps --no-compile --find-links "$prepared" --target "$1" "$2"
}
# A folder beside the interpreter's own packages: they may be those of a virtual environment, which another one
# on top of it would not see.
install_all() {
  install "$1" cavs-nn 2>/dev/null || { build_wheel && install "$1" cavs-nn; } || return 1
  "$python" -c 'import scipy_openblas32' 2>/dev/null || install "$1" scipy-openblas32
}
need() {  # need PACKAGE...: that the interpreter has them, since nothing is fetched later
  local missing
  missing=$("$python" -c 'import sys; from importlib.util import find_spec
print(*(name for name in sys.argv[1:] if find_spec(name.replace("-", "_")) is None))' "$@") || return 1
  [ -z "$missing" ] && return
  echo "[gpu_check] expected the packages of cavs and of its tests for $python, got none of: $missing; run" \
    "\`$python -m pip install $missing\`, or name another interpreter by PYTHON" >&2
  return 1
}
version_of_nvrtc() {  # or the line that says why there is none
  "$1" -c 'from cavs._native import core; from cavs.device import gpus
if not core.cuda.emulated(): core.cuda.set_library_folders(":".join(gpus.library_folders()))
print(core.cuda.versions()["NVRTC"])'
}

prepare() {
  local start=$SECONDS place version
  need "${packages[@]}" || return 1
  build_wheel || return 1
  echo "wheel: $(ls "$prepared"/*.whl)"
  # For a card whose interpreter has none; without network it must be there.
  "$python" -m pip download -q --no-deps --only-binary=:all: -d "$prepared" scipy-openblas32 ||
    echo "OpenBLAS: no wheel of scipy-openblas32, which the interpreter on the card must have then"
  place=$(mktemp -d)
  install_all "$place/site" || { rm -rf "$place"; return 1; }
  export PYTHONPATH=$place/site${PYTHONPATH:+:$PYTHONPATH}
  cd "$place" || return 1
  version=$(version_of_nvrtc "$python")
  if [[ $version == none* ]]; then
    echo "kernels: not compiled, $version"
  else
    "$python" "$root/tools/compile_kernels.py" --architectures "${ARCHITECTURES:-sm_90}" || failed=1
  fi
  cd "$root" && rm -rf "$place"
  echo "prepared in $((SECONDS - start)) s"
  return $failed
}

part() {  # part NAME SECONDS LOG COMMAND...: a line of the summary
  local name=$1 limit=$2 log=$3 start=$SECONDS status
  shift 3
  timeout -k 5 "$limit" "$@" >"$log" 2>&1
  status=$?
  case $status in
    0) echo "| $name | passed | $((SECONDS - start)) s |" ;;
    124 | 137) echo "| $name | stopped after $limit s | $((SECONDS - start)) s |"; failed=1 ;;
    *) echo "| $name | FAILED ($status) | $((SECONDS - start)) s |"; failed=1 ;;
  esac >>"$out/summary.md"
  tail -n 3 "$log"
  return $status
}

# A file of tests in each process, some at a time; with pytest-xdist several processes for a file, since most of
# the time goes to NVRTC.
tests() {
  local file name workers=()
  "$python" -c 'import xdist' 2>/dev/null && workers=(-n "${WORKERS:-3}")
  mkdir -p "$place/tests"
  while read -r file; do
    name=$(basename "$file" .py)
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-4}" ]; do wait -n; done
    {
      # shellcheck disable=SC2086
      timeout -k 5 "${TEST_SECONDS:-140}" "$python" -m pytest "$file" -c "$root/pyproject.toml" -p no:cacheprovider \
        -q -m gpu --maxfail=20 "${workers[@]}" ${TESTS:-}
      echo "status $?"
    } >"$place/tests/$name.log" 2>&1 &
  done < <(grep -rlE 'mark\.gpu' "$root/tests" --include='test_*.py' | sort)
  wait
  cat "$place"/tests/*.log >"$out/tests.log"
  for file in "$place"/tests/*.log; do
    case $(tail -n 1 "$file") in
      'status 0') name=passed ;;
      'status 5') continue ;;  # no test has the marker
      'status 124' | 'status 137') name='stopped' && failed=1 ;;
      *) name='FAILED' && failed=1 ;;
    esac
    echo "| $(basename "$file" .log) | $name | $(tail -n 2 "$file" | head -n 1 | tr -d '=|') |" >>"$out/summary.md"
  done
}

check() {
  need "${packages[@]}" pytest hypothesis || return 1
  out=$1
  mkdir -p "$out" && out=$(cd "$out" && pwd) || return 1
  local data=() start=$SECONDS why
  [ -n "${CAVS_DATA:-}" ] && data=(--data "$CAVS_DATA")
  place=$(mktemp -d)  # what is not for the reader: OUT stays a few files
  trap 'rm -rf "$place"' EXIT
  install_all "$place/site" || return 1
  export PYTHONPATH=$place/site${PYTHONPATH:+:$PYTHONPATH} CAVS_CUDA_CACHE=${CAVS_CUDA_CACHE:-$place/cubins}
  cd "$out" || return 1  # not the root, whose folder cavs/ has no extension
  {
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>&1
    "$python" -VV
    "$python" -m cavs info 2>&1
    "$python" -m pip list 2>/dev/null | grep -iE '^(numpy|cupy|torch|jax|nvidia|cavs|pytest|hypothesis)'
  } >environment.txt
  {
    echo "# $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 || true)"
    printf '\ncavs %s, %s\n\n| part | result | time |\n|---|---|---|\n' \
      "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)" "$(date -u +%F)"
  } >summary.md
  why=$("$python" -c 'import cavs; print(cavs.cuda.why_not())')
  if [ -n "$why" ] && [ -z "${CAVS_CUDA_DRIVER:-}" ]; then
    echo "| all | missing: $why | |" >>summary.md
    cat summary.md
    return 1
  fi
  tests
  # shellcheck disable=SC2086
  part "benchmarks/gpu.py" 150 gpu.log "$python" "$root/benchmarks/gpu.py" --output "$out/gpu.json" \
    "${data[@]}" ${FIGURES:-}
  # Of a run that was stopped too: it writes its figures part by part.
  # shellcheck disable=SC2086
  { echo; "$python" "$root/benchmarks/gpu.py" --table gpu.json ${FIGURES:-} 2>&1 || failed=1; } >>summary.md
  printf '\nAll in %d s.\n' "$((SECONDS - start))" >>summary.md
  cat summary.md
  return $failed
}

failed=0
case ${1:-} in
  --prepare) prepare ;;
  '' | -h | --help) usage; exit 2 ;;
  *) check "$1" ;;
esac
