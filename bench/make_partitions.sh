#!/usr/bin/env bash
# Make the partitions that the benchmarks use, with the real tools: make_partitions.sh FOLDER [SIZE]
# Shared libraries, programs and 400 MiB of noise on FAT32, ext4 and NTFS: about 1.6 GiB used of SIZE (6G unless given).
# Needs dosfstools, mtools, e2fsprogs and, for NTFS only, ntfs-3g as root.
set -euo pipefail
folder=${1:?folder}
size=${2:-6G}
mkdir -p "$folder"
cd "$folder"
tree=$(mktemp -d -p .)
trap 'mountpoint -q mnt && umount mnt; rm -rf "$tree" mnt ./*.part' EXIT
rm -f fat32.part ext4.part
truncate -s "$size" fat32.part
mkfs.fat -F 32 fat32.part >/dev/null
find /usr/lib /usr/bin -xdev -type f -size +200k -print0 | head -z -n 900 | xargs -0 cp --parents -t "$tree" 2>/dev/null || true
head -c 400M /dev/urandom >"$tree/noise.bin"
mcopy -s -Q -o -i fat32.part "$tree"/* :: </dev/null
mv fat32.part fat32.img
mke2fs -q -F -t ext4 -d "$tree" ext4.part "$size" >/dev/null
mv ext4.part ext4.img
if [ "$(id -u)" = 0 ] && [ -e /dev/fuse ]; then
    truncate -s "$size" ntfs.part
    mkntfs -q -F -Q -s 512 -p 0 -H 255 -S 63 ntfs.part >/dev/null 2>&1
    mkdir -p mnt
    ntfs-3g ntfs.part mnt
    cp -r --no-preserve=all "$tree"/. mnt/
    umount mnt
    mv ntfs.part ntfs.img
fi
