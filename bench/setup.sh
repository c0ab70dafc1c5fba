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

# The first Python that can make an environment with pip.
python_with_pip() {
    for candidate in $(for each in 3.13 3.12 3.11 3.10 3.9; do find_python $each; done) python3; do
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null && echo "$candidate" && return
    done
    echo "no Python here has ensurepip (Debian: python3-venv)" >&2
    return 1
}

# make_venv PYTHON FOLDER: Debian's testing suite, unpacked, has no ensurepip; then the pip of another Python installs one.
make_venv() {
    if "$1" -c 'import ensurepip' 2>/dev/null; then
        "$1" -m venv --clear "$2"
        return
    fi
    "$1" -m venv --clear --without-pip "$2"
    [ -x "$dir/pip/bin/python3" ] || "$(python_with_pip)" -m venv --clear "$dir/pip"
    "$dir/pip/bin/python3" -m pip --quiet --disable-pip-version-check --python "$2/bin/python3" install pip
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
    make_venv "$python" "$venv"
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check memray==1.20.0 numpy
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check scalene==2.4.0 ||
        echo "no scalene for Python $version: its benches will be named as not run" >&2
done
