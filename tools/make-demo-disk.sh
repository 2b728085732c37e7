#!/usr/bin/env bash
# Makes the disk of `inpart demo`: a 40 MiB disk with one FAT32 partition of 38 MiB and a few files, as zstd.
# Needs dosfstools, mtools, fdisk and zstd; the same tools make the same bytes each time.
set -euo pipefail
output=$(realpath -m "${1:?usage: make-demo-disk.sh FILE.zst}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export MTOOLS_SKIP_CHECK=1 SOURCE_DATE_EPOCH=1767225600 TZ=UTC0

truncate --size 40M disk.img
printf 'label: dos\nlabel-id: 0x1a2b3c4d\nstart=2048, size=77824, type=c\n' | sfdisk --quiet disk.img
mkfs.fat --invariant -F 32 -s 1 -h 2048 -n INPARTDEMO --offset 2048 disk.img 38912 >/dev/null 2>&1

mkdir -p files/Documents files/Photos files/System
for n in 1 2 3 4 5 6 7 8; do
    head --bytes $((n * 9000)) < <(yes "page of report $n") >"files/Documents/report $n.txt"
    head --bytes $((n * 70000)) < <(yes "holiday $n, a photo of the mountains") >"files/Photos/in-the-mountains-$n.jpg"
    head --bytes $((n * 700)) < <(yes "driver $n") >"files/System/DRIVER$n.BIN"
done
echo 'This disk shows what inpart does: its files go, and come back.' >files/README.TXT
find files -exec touch --date @$SOURCE_DATE_EPOCH {} +
cd files
find . -mindepth 1 | LC_ALL=C sort | while read -r path; do
    if [ -d "$path" ]; then
        mkdir -p "../empty/$path" && touch --date @$SOURCE_DATE_EPOCH "../empty/$path"
        mcopy -s -m -Q -i ../disk.img@@1M "../empty/$path" "::/$path"
    else
        mcopy -m -Q -i ../disk.img@@1M "$path" "::/$path"
    fi
done
cd ..

zstd --quiet --force --ultra -22 --no-check disk.img -o "$output"
