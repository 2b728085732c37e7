#!/usr/bin/env bash
# Installs the Debian packages of the reference tools that the tests run, where a tool is missing and we are root.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# tool:package
needed='
mkfs.fat:dosfstools     fsck.fat:dosfstools     mcopy:mtools            mke2fs:e2fsprogs        e2fsck:e2fsprogs
mkntfs:ntfs-3g          ntfsfix:ntfs-3g         partclone.fat:partclone sfdisk:fdisk            sgdisk:gdisk
parted:parted           ddrescue:gddrescue      bmaptool:bmap-tools     zstd:zstd               losetup:mount
'

missing_packages() {
    local pair
    for pair in $needed; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done | sort --unique
}

packages=$(missing_packages)
[ -n "$packages" ] || exit 0
# shellcheck disable=SC2086  # one word per package
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
