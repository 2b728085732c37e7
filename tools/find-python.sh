#!/usr/bin/env bash
# Prints the first Python interpreter that is 3.11 or later and can make virtual environments.
set -euo pipefail

find_python() {
    local name
    for name in python3.11 python3 python3.12 python3.13 python3.14; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

find_python && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update --quiet && apt-get install --yes --quiet python3 python3-venv; } >&2 && find_python && exit 0
fi
echo 'inpart needs Python 3.11 or later with the venv module (Debian: apt-get install python3 python3-venv)' >&2
exit 1
