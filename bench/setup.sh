#!/bin/sh
# Makes what the benches compare with: one virtual environment a Python version with memray and scalene from PyPI, and a
# list of the Debian packages that are missing. Usage: bench/setup.sh [--install] [VERSION...]   (default 3.11 3.12 3.13 3.14)
#
# A version is looked for as pyenv's newest X.Y.*, then as pythonX.Y on PATH, then among those of tools/pythons. Environments live in
# ${MEMTAP_BENCH_DIR:-build/bench}/venv-X.Y and are kept. --install lets apt-get install the missing packages (root).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dir=${MEMTAP_BENCH_DIR:-$here/build/bench}
packages="heaptrack libgoogle-perftools4 libjemalloc2 valgrind redis-server redis-tools sqlite3 gcc"
install=no
[ "${1:-}" = --install ] && { install=yes; shift; }
[ $# -gt 0 ] || set -- 3.11 3.12 3.13 3.14

missing=
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ] && [ $install = yes ]; then
    apt-get install -y -qq --no-install-recommends $missing
elif [ -n "$missing" ]; then
    echo "missing Debian packages (their benches will be named as not run):$missing" >&2
    echo "remedy: bench/setup.sh --install" >&2
fi

find_python() {
    newest=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".* 2>/dev/null | sort -V | tail -1)
    if [ -n "$newest" ]; then
        echo "$newest/bin/python3"
    else
        command -v "python$1" || "$here/tools/pythons" "$here/build/pythons" 2>/dev/null | grep "/python$1\$" || true
    fi
}

for version in "$@"; do
    venv=$dir/venv-$version
    if [ -x "$venv/bin/python3" ] && "$venv/bin/python3" -c 'import memray, numpy' 2>/dev/null; then
        continue
    fi
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "no Python $version here: its benches will be named as not run" >&2
        continue
    fi
    echo "making $venv from $python" >&2
    mkdir -p "$dir"
    "$python" -m venv --clear "$venv"
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check memray==1.20.0 numpy
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check scalene==2.4.0 ||
        echo "no scalene for Python $version: its benches will be named as not run" >&2
done
