#!/bin/sh
# Make .venv-cwt, the environment of tests/vectors/cwt_program.py, from its lock file; once.
# Usage: cwt_environment.sh [PYTHON]. Safe to call from several tests at a time.
set -eu
python=${1:-python3}
cd "$(dirname "$0")/../.."
exec 9<tests/vectors/cwt.lock
flock 9
ready=.venv-cwt/.ready
if [ -e "$ready" ] && [ "$ready" -nt tests/vectors/cwt.lock ]; then exit 0; fi
rm -rf .venv-cwt
"$python" -m venv .venv-cwt
.venv-cwt/bin/pip install --quiet --disable-pip-version-check \
    --require-hashes --only-binary :all: -r tests/vectors/cwt.lock
touch "$ready"
