#!/usr/bin/env bash
# Installs the Debian packages of the reference tools that the tests run, where a tool is missing and we are root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH=$PATH:/usr/sbin:/sbin

missing_packages() {
    local tool package
    while read -r tool package; do
        command -v "$tool" >/dev/null || echo "$package"
    done <reference-tools.txt | sort --unique
}

packages=$(missing_packages)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing the tools that the tests run:" $packages
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet >/dev/null && apt-get install --yes --quiet --no-install-recommends $packages >/dev/null || true
fi

packages=$(missing_packages)
[ -n "$packages" ] || exit 0
echo "the tests need tools from these packages:" $packages >&2
echo "install them as root, then repeat: apt-get install" $packages >&2
exit 1
