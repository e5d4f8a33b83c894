#!/usr/bin/env bash
# Builds all C++ code with sanitizers into a temporary folder and runs the C++ tests and the Python suite
# against that build: AddressSanitizer and UndefinedBehaviorSanitizer, or ThreadSanitizer, under which the
# Python tests are those that use threads. The first report of ASan or UBSan stops a test.
#
#   tools/sanitize.sh [arguments for pytest]        e.g. tools/sanitize.sh -m "not slow"
#   tools/sanitize.sh --threads [arguments for pytest]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
sanitizers=address,undefined
if [ "${1:-}" = --threads ]; then
  shift
  sanitizers=thread
fi

# The working tree as it stands, without what git ignores (environments, builds).
mkdir "$place/source"
git -C "$root" ls-files -z --cached --others --exclude-standard |
  tar -C "$root" --null --files-from=- -cf - | tar -C "$place/source" -xf -
cd "$place/source"

python3 -m venv "$place/venv"
export PATH="$place/venv/bin:$PATH"
pip install -q '.[test,dev]' -C cmake.define.CAVS_SANITIZE=$sanitizers -C cmake.build-type=RelWithDebInfo

echo "== C++ tests under $sanitizers"
cmake -G Ninja -S . -B "$place/cpp" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCAVS_BUILD_PYTHON=OFF \
  -DCAVS_BUILD_TESTS=ON -DCAVS_SANITIZE=$sanitizers >/dev/null
cmake --build "$place/cpp"
ctest --test-dir "$place/cpp" --output-on-failure --no-tests=error

# The interpreter is not instrumented: the runtime must be loaded before it, with libstdc++ so that
# exceptions are intercepted. Reports go to files, because a test may expect its subprocess to fail; UBSan
# knows standard error only, so pytest must not capture that (--capture=sys).
echo "== Python suite under $sanitizers"
compiler=${CXX:-g++}
status=0
if [ $sanitizers = thread ]; then
  # The locks of the interpreter are seen, since they are pthread's. What NumPy and OpenBLAS read and write
  # is not, but then it is nobody's race either.
  export TSAN_OPTIONS="log_path=$place/report:exitcode=0"
  set -- tests/test_threads.py tests/test_changing_ids.py tests/core/test_reentrancy.py \
    tests/kernels/test_threads.py tests/memory/test_run.py tests/scheduler/test_schedule.py \
    tests/tensor/test_tape.py -m "not no_tsan" "$@"
  runtime=libtsan.so
else
  # What CPython leaves allocated at exit is no leak of ours.
  export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:log_path=$place/report"
  export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:abort_on_error=1"
  # Not where the memory of a process is measured or limited: AddressSanitizer's own is in it.
  set -- --deselect tests/memory/test_out_of_memory.py::test_of_a_process_with_a_limit \
    --deselect tests/execution/profile/test_call.py::test_the_process_grows_by_what_is_predicted \
    --deselect "tests/tools/test_fuzz.py::test_slices_of_files_and_kills[checkpoints-100]" "$@"
  runtime=libasan.so
fi
LD_PRELOAD="$($compiler -print-file-name=$runtime) $($compiler -print-file-name=libstdc++.so)" \
  pytest --capture=sys "$@" || status=$?
if compgen -G "$place/report*" >/dev/null; then
  cat "$place"/report*
  exit 1
fi
exit "$status"
