#!/bin/sh
# Resolves the pinned, hashed package sets in locks/ from pyproject.toml. Needs uv (pip install uv).
# No index address is written: the locks serve behind any mirror.
set -eu
cd "$(dirname "$0")/.."
command -v uv >/dev/null 2>&1 || { echo "lock: uv is missing; install it: pip install uv" >&2; exit 1; }
resolve() {
    uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header "$@"
}
resolve locks/build.in -o locks/build.txt
resolve --no-deps locks/photos.in -o locks/photos.txt
resolve --override locks/overrides.txt pyproject.toml -o locks/city.txt
resolve --override locks/overrides.txt pyproject.toml --extra faces -o locks/estate.txt
resolve --override locks/overrides.txt pyproject.toml --extra faces --extra embedded -o locks/demo.txt
resolve --override locks/overrides.txt pyproject.toml --all-extras -o locks/dev.txt
