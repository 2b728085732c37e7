"""The damage matrix: real partitions on a disk, damaged, brought back by inpart, and judged by the reference tools."""
