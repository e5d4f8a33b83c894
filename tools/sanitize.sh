#!/usr/bin/env bash
# Builds all C++ code with AddressSanitizer and UndefinedBehaviorSanitizer into a temporary folder, then
# runs the C++ tests and the Python suite against that build. The first report stops a test.
#
#   tools/sanitize.sh [arguments for pytest]        e.g. tools/sanitize.sh -m "not slow"
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
sanitizers=address,undefined

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
# exceptions are intercepted; and what CPython leaves allocated at exit is no leak of ours. ASan reports to
# files, because a test may expect its subprocess to fail; UBSan knows standard error only, so pytest must
# not capture that (--capture=sys).
echo "== Python suite under $sanitizers"
compiler=${CXX:-g++}
status=0
LD_PRELOAD="$($compiler -print-file-name=libasan.so) $($compiler -print-file-name=libstdc++.so)" \
  ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:log_path=$place/report" \
  UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:abort_on_error=1" \
  pytest --capture=sys "$@" || status=$?
if compgen -G "$place/report*" >/dev/null; then
  cat "$place"/report*
  exit 1
fi
exit "$status"
