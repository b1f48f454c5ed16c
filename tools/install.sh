#!/bin/sh
# Makes .venv and installs one pinned, hashed set of packages into it: tools/install.sh demo|dev
# Runs with what Debian 12 has (python3, venv); says what is missing otherwise.
set -eu
cd "$(dirname "$0")/.."
set_name=$1
lock=locks/$set_name.txt
[ -f "$lock" ] || { echo "install: no such set of packages: $set_name (see locks/)" >&2; exit 2; }

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || {
    echo "缺少 python3，请先安装：apt-get install python3 python3-venv  |  python3 is missing; install it: apt-get install python3 python3-venv" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "需要 Python 3.11 或更高版本  |  Python 3.11 or newer is needed; found $("$python" -V)" >&2
    exit 1
}
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
    echo "缺少 Python 的 venv 模块，请先安装：apt-get install python3-venv  |  Python's venv module is missing; install it: apt-get install python3-venv" >&2
    exit 1
}

digest=$(cat locks/build.txt "$lock" pyproject.toml | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
stamp=.venv/.installed-$set_name
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && exit 0

# An interrupt may have left a .venv without pip, or with half of it: one that was not finished is made anew.
if [ ! -f .venv/.made ] && ! ls .venv/.installed-* >/dev/null 2>&1; then
    "$python" -m venv --clear .venv
    touch .venv/.made
fi
pip() {
    # No version check: it asks the network for something nobody reads.
    .venv/bin/python -m pip --disable-pip-version-check --no-input -qq "$@" || {
        echo "安装软件包失败，原因见上。检查网络后重试。  |  Installing packages failed for the reason above. Check the network, then run the same command again." >&2
        exit 1
    }
}
echo "安装软件包 ($set_name)…  |  Installing packages ($set_name)…"
pip install --no-deps --require-hashes --only-binary :all: -r locks/build.txt
# face_recognition_models is published as source only (data files, nothing to compile); all else must be a wheel.
pip install --no-deps --require-hashes --no-build-isolation \
    --only-binary :all: --no-binary face-recognition-models -r "$lock"
pip install --no-deps --no-build-isolation --editable .
echo "$digest" >"$stamp"
