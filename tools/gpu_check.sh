#!/usr/bin/env bash
# All that only a GPU can show, in one run of less than five minutes and without network: the wheel is
# installed, the tests with the marker gpu run on the card, benchmarks/gpu.py measures.
#
#   tools/gpu_check.sh --prepare   without a GPU: builds the wheel, and compiles all kernels for sm_90 where
#                                  NVRTC is installed
#   tools/gpu_check.sh OUT         on the card: OUT gets environment.txt, tests.log, tests.xml, gpu.json, gpu.log
#                                  and summary.md
#
# PYTHON names the interpreter (default: python3), which may be an environment's; it has what '.[test]' installs,
# CuPy on the card, NVRTC to compile without one ('.[nvrtc]'), and PyTorch where peers are to run. CAVS_DATA is the
# folder that holds sst/; without it trees are generated. TESTS are further arguments for pytest, FIGURES for
# benchmarks/gpu.py, as --limit-table with an absolute path. The exit status is 0 where all parts that could run
# passed; summary.md says of the others that they are missing.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
prepared=$root/build/gpu_check
packages=(numpy scipy-openblas32 safetensors tqdm)
usage() { sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

build_wheel() {
  mkdir -p "$prepared" && rm -f "$prepared"/*.whl
  "$python" -m pip wheel -q --no-deps --no-build-isolation -w "$prepared" "$root" 2>"$prepared/wheel.log" ||
    "$python" -m pip wheel -q --no-deps -w "$prepared" "$root" 2>>"$prepared/wheel.log" ||
    { cat "$prepared/wheel.log" >&2; return 1; }
}
install_wheel() {  # install_wheel FOLDER: an environment over that of the interpreter, without network
  "$python" -m venv --system-site-packages "$1" &&
    # An environment made from another one sees the packages of the base interpreter alone.
    "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sep="\n")' \
      >"$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/interpreter.pth" &&
    "$1/bin/python" -m pip install -q --no-index --no-deps --force-reinstall "$prepared"/*.whl
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
  place=$(mktemp -d)
  install_wheel "$place/venv" || { rm -rf "$place"; return 1; }
  cd "$place" || return 1
  version=$(version_of_nvrtc "$place/venv/bin/python")
  if [[ $version == none* ]]; then
    echo "kernels: not compiled, $version"
  else
    "$place/venv/bin/python" "$root/tools/compile_kernels.py" --architectures "${ARCHITECTURES:-sm_90}" || failed=1
  fi
  cd "$root" && rm -rf "$place"
  echo "prepared in $((SECONDS - start)) s"
  return $failed
}

part() {  # part NAME SECONDS LOG COMMAND...: a line of the summary
  local name=$1 limit=$2 log=$3 start=$SECONDS status
  shift 3
  timeout "$limit" "$@" >"$log" 2>&1
  status=$?
  case $status in
    0) echo "| $name | passed | $((SECONDS - start)) s |" ;;
    124) echo "| $name | stopped after $limit s | $((SECONDS - start)) s |"; failed=1 ;;
    *) echo "| $name | FAILED ($status) | $((SECONDS - start)) s |"; failed=1 ;;
  esac >>"$out/summary.md"
  tail -n 3 "$log"
  return $status
}

check() {
  need "${packages[@]}" pytest hypothesis || return 1
  out=$1
  mkdir -p "$out" && out=$(cd "$out" && pwd) || return 1
  local own=$out/venv data=() start=$SECONDS why
  [ -n "${CAVS_DATA:-}" ] && data=(--data "$CAVS_DATA")
  compgen -G "$prepared/*.whl" >/dev/null || build_wheel || return 1
  install_wheel "$own" || return 1
  cd "$out" || return 1  # not the root, whose folder cavs/ has no extension
  {
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>&1
    "$own/bin/python" -VV
    "$own/bin/python" -m cavs info 2>&1
    "$own/bin/python" -m pip list 2>/dev/null | grep -iE '^(numpy|cupy|torch|jax|nvidia|cavs|pytest|hypothesis)'
  } >environment.txt
  {
    echo "# $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 || true)"
    printf '\ncavs %s, %s\n\n| part | result | time |\n|---|---|---|\n' \
      "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)" "$(date -u +%F)"
  } >summary.md
  why=$("$own/bin/python" -c 'import cavs; print(cavs.cuda.why_not())')
  if [ -n "$why" ] && [ -z "${CAVS_CUDA_DRIVER:-}" ]; then
    echo "| all | missing: $why | |" >>summary.md
    cat summary.md
    return 1
  fi
  export CAVS_CUDA_CACHE=${CAVS_CUDA_CACHE:-$out/cubins}
  # shellcheck disable=SC2086
  part "pytest -m gpu" 150 tests.log "$own/bin/python" -m pytest "$root/tests" -c "$root/pyproject.toml" \
    -p no:cacheprovider -q -m gpu --maxfail=20 --junitxml="$out/tests.xml" ${TESTS:-}
  # shellcheck disable=SC2086
  part "benchmarks/gpu.py" 120 gpu.log "$own/bin/python" "$root/benchmarks/gpu.py" --output "$out/gpu.json" \
    "${data[@]}" ${FIGURES:-}
  # Of a run that was stopped too: it writes its figures part by part.
  # shellcheck disable=SC2086
  { echo; "$own/bin/python" "$root/benchmarks/gpu.py" --table gpu.json ${FIGURES:-} 2>&1 || failed=1; } >>summary.md
  rm -rf "$own"
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
