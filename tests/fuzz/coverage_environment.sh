#!/bin/sh
# Put atheris into .venv-fuzz, once; ends non-zero where there is no wheel for this Python.
set -eu
cd "$(dirname "$0")/../.."
ready=.venv-fuzz/.ready
if [ -e "$ready" ] && [ "$ready" -nt tests/fuzz/atheris.lock ]; then exit 0; fi
.venv/bin/pip install --quiet --disable-pip-version-check --upgrade --no-deps --target .venv-fuzz \
    --require-hashes --only-binary :all: -r tests/fuzz/atheris.lock
touch "$ready"
