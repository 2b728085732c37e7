"""The structures of ext2, ext3 and ext4 on disk, with the field names of the Linux kernel.

Source of facts: Linux, Documentation/filesystems/ext4, and the headers of e2fsprogs 1.47. All numbers are
little-endian. Offsets of single fields: ``field_offset(SUPER_BLOCK, "s_magic")``.
"""

from __future__ import annotations

import numpy as np

SUPER_BLOCK: np.dtype[np.void] = np.dtype(
    [
        ("s_inodes_count", "<u4"),
        ("s_blocks_count_lo", "<u4"),
        ("s_r_blocks_count_lo", "<u4"),
        ("s_free_blocks_count_lo", "<u4"),
        ("s_free_inodes_count", "<u4"),
        ("s_first_data_block", "<u4"),
        ("s_log_block_size", "<u4"),
        ("s_log_cluster_size", "<u4"),
        ("s_blocks_per_group", "<u4"),
        ("s_clusters_per_group", "<u4"),
        ("s_inodes_per_group", "<u4"),
        ("s_mtime", "<u4"),
        ("s_wtime", "<u4"),
        ("s_mnt_count", "<u2"),
        ("s_max_mnt_count", "<u2"),
        ("s_magic", "<u2"),
        ("s_state", "<u2"),
        ("s_errors", "<u2"),
        ("s_minor_rev_level", "<u2"),
        ("s_lastcheck", "<u4"),
        ("s_checkinterval", "<u4"),
        ("s_creator_os", "<u4"),
        ("s_rev_level", "<u4"),
        ("s_def_resuid", "<u2"),
        ("s_def_resgid", "<u2"),
        ("s_first_ino", "<u4"),
        ("s_inode_size", "<u2"),
        ("s_block_group_nr", "<u2"),
        ("s_feature_compat", "<u4"),
        ("s_feature_incompat", "<u4"),
        ("s_feature_ro_compat", "<u4"),
        ("s_uuid", "u1", 16),
        ("s_volume_name", "u1", 16),
        ("s_last_mounted", "u1", 64),
        ("s_algorithm_usage_bitmap", "<u4"),
        ("s_prealloc_blocks", "u1"),
        ("s_prealloc_dir_blocks", "u1"),
        ("s_reserved_gdt_blocks", "<u2"),
        ("s_journal_uuid", "u1", 16),
        ("s_journal_inum", "<u4"),
        ("s_journal_dev", "<u4"),
        ("s_last_orphan", "<u4"),
        ("s_hash_seed", "<u4", 4),
        ("s_def_hash_version", "u1"),
        ("s_jnl_backup_type", "u1"),
        ("s_desc_size", "<u2"),
        ("s_default_mount_opts", "<u4"),
        ("s_first_meta_bg", "<u4"),
        ("s_mkfs_time", "<u4"),
        ("s_jnl_blocks", "<u4", 17),
        ("s_blocks_count_hi", "<u4"),
        ("s_r_blocks_count_hi", "<u4"),
        ("s_free_blocks_count_hi", "<u4"),
        ("s_min_extra_isize", "<u2"),
        ("s_want_extra_isize", "<u2"),
        ("s_flags", "<u4"),
        ("s_raid_stride", "<u2"),
        ("s_mmp_update_interval", "<u2"),
        ("s_mmp_block", "<u8"),
        ("s_raid_stripe_width", "<u4"),
        ("s_log_groups_per_flex", "u1"),
        ("s_checksum_type", "u1"),
        ("s_encryption_level", "u1"),
        ("s_reserved_pad", "u1"),
        ("s_kbytes_written", "<u8"),
        ("s_snapshot_inum", "<u4"),
        ("s_snapshot_id", "<u4"),
        ("s_snapshot_r_blocks_count", "<u8"),
        ("s_snapshot_list", "<u4"),
        ("s_error_count", "<u4"),
        ("s_first_error_time", "<u4"),
        ("s_first_error_ino", "<u4"),
        ("s_first_error_block", "<u8"),
        ("s_first_error_func", "u1", 32),
        ("s_first_error_line", "<u4"),
        ("s_last_error_time", "<u4"),
        ("s_last_error_ino", "<u4"),
        ("s_last_error_line", "<u4"),
        ("s_last_error_block", "<u8"),
        ("s_last_error_func", "u1", 32),
        ("s_mount_opts", "u1", 64),
        ("s_usr_quota_inum", "<u4"),
        ("s_grp_quota_inum", "<u4"),
        ("s_overhead_clusters", "<u4"),
        ("s_backup_bgs", "<u4", 2),
        ("s_encrypt_algos", "u1", 4),
        ("s_encrypt_pw_salt", "u1", 16),
        ("s_lpf_ino", "<u4"),
        ("s_prj_quota_inum", "<u4"),
        ("s_checksum_seed", "<u4"),
        ("s_wtime_hi", "u1"),
        ("s_mtime_hi", "u1"),
        ("s_mkfs_time_hi", "u1"),
        ("s_lastcheck_hi", "u1"),
        ("s_first_error_time_hi", "u1"),
        ("s_last_error_time_hi", "u1"),
        ("s_first_error_errcode", "u1"),
        ("s_last_error_errcode", "u1"),
        ("s_encoding", "<u2"),
        ("s_encoding_flags", "<u2"),
        ("s_orphan_file_inum", "<u4"),
        ("s_reserved", "<u4", 94),
        ("s_checksum", "<u4"),
    ]
)
"""ext4_super_block, 1024 bytes."""

GROUP_DESC: np.dtype[np.void] = np.dtype(
    [
        ("bg_block_bitmap_lo", "<u4"),
        ("bg_inode_bitmap_lo", "<u4"),
        ("bg_inode_table_lo", "<u4"),
        ("bg_free_blocks_count_lo", "<u2"),
        ("bg_free_inodes_count_lo", "<u2"),
        ("bg_used_dirs_count_lo", "<u2"),
        ("bg_flags", "<u2"),
        ("bg_exclude_bitmap_lo", "<u4"),
        ("bg_block_bitmap_csum_lo", "<u2"),
        ("bg_inode_bitmap_csum_lo", "<u2"),
        ("bg_itable_unused_lo", "<u2"),
        ("bg_checksum", "<u2"),
        ("bg_block_bitmap_hi", "<u4"),
        ("bg_inode_bitmap_hi", "<u4"),
        ("bg_inode_table_hi", "<u4"),
        ("bg_free_blocks_count_hi", "<u2"),
        ("bg_free_inodes_count_hi", "<u2"),
        ("bg_used_dirs_count_hi", "<u2"),
        ("bg_itable_unused_hi", "<u2"),
        ("bg_exclude_bitmap_hi", "<u4"),
        ("bg_block_bitmap_csum_hi", "<u2"),
        ("bg_inode_bitmap_csum_hi", "<u2"),
        ("bg_reserved", "<u4"),
    ]
)
"""ext4_group_desc, 64 bytes; without the feature 64bit only the first 32 are there."""

INODE: np.dtype[np.void] = np.dtype(
    [
        ("i_mode", "<u2"),
        ("i_uid", "<u2"),
        ("i_size_lo", "<u4"),
        ("i_atime", "<u4"),
        ("i_ctime", "<u4"),
        ("i_mtime", "<u4"),
        ("i_dtime", "<u4"),
        ("i_gid", "<u2"),
        ("i_links_count", "<u2"),
        ("i_blocks_lo", "<u4"),
        ("i_flags", "<u4"),
        ("i_version", "<u4"),
        ("i_block", "u1", 60),
        ("i_generation", "<u4"),
        ("i_file_acl_lo", "<u4"),
        ("i_size_high", "<u4"),
        ("i_obso_faddr", "<u4"),
        ("i_blocks_high", "<u2"),
        ("i_file_acl_high", "<u2"),
        ("i_uid_high", "<u2"),
        ("i_gid_high", "<u2"),
        ("i_checksum_lo", "<u2"),
        ("i_reserved", "<u2"),
        ("i_extra_isize", "<u2"),
        ("i_checksum_hi", "<u2"),
        ("i_ctime_extra", "<u4"),
        ("i_mtime_extra", "<u4"),
        ("i_atime_extra", "<u4"),
        ("i_crtime", "<u4"),
        ("i_crtime_extra", "<u4"),
        ("i_version_hi", "<u4"),
        ("i_projid", "<u4"),
    ]
)
"""ext4_inode with its extra fields, 160 bytes; an inode of 128 bytes ends at ``GOOD_OLD_INODE_SIZE``."""

EXTENT_HEADER: np.dtype[np.void] = np.dtype(
    [
        ("eh_magic", "<u2"),
        ("eh_entries", "<u2"),
        ("eh_max", "<u2"),
        ("eh_depth", "<u2"),
        ("eh_generation", "<u4"),
    ]
)
EXTENT_IDX: np.dtype[np.void] = np.dtype(
    [("ei_block", "<u4"), ("ei_leaf_lo", "<u4"), ("ei_leaf_hi", "<u2"), ("ei_unused", "<u2")]
)
EXTENT: np.dtype[np.void] = np.dtype(
    [("ee_block", "<u4"), ("ee_len", "<u2"), ("ee_start_hi", "<u2"), ("ee_start_lo", "<u4")]
)
"""Header, index entry and leaf entry of an extent tree, 12 bytes each."""

DIR_ENTRY: np.dtype[np.void] = np.dtype([("inode", "<u4"), ("rec_len", "<u2"), ("name_len", "u1"), ("file_type", "u1")])
"""ext4_dir_entry_2 up to its name, 8 bytes; without the feature filetype, file_type is the high byte of name_len."""

DIR_ENTRY_TAIL: np.dtype[np.void] = np.dtype(
    [
        ("det_reserved_zero1", "<u4"),
        ("det_rec_len", "<u2"),
        ("det_reserved_zero2", "u1"),
        ("det_reserved_ft", "u1"),
        ("det_checksum", "<u4"),
    ]
)
"""The last 12 bytes of each directory leaf block with metadata_csum."""

DX_ROOT_INFO: np.dtype[np.void] = np.dtype(
    [
        ("reserved_zero", "<u4"),
        ("hash_version", "u1"),
        ("info_length", "u1"),
        ("indirect_levels", "u1"),
        ("unused_flags", "u1"),
    ]
)
"""What follows the entries of ``.`` and ``..`` in the first block of an htree directory."""

DX_COUNTLIMIT: np.dtype[np.void] = np.dtype([("limit", "<u2"), ("count", "<u2"), ("block", "<u4")])
DX_ENTRY: np.dtype[np.void] = np.dtype([("hash", "<u4"), ("block", "<u4")])
"""Entries of an htree node; the first one is a ``DX_COUNTLIMIT`` and stands for the smallest hashes."""

XATTR_HEADER: np.dtype[np.void] = np.dtype(
    [
        ("h_magic", "<u4"),
        ("h_refcount", "<u4"),
        ("h_blocks", "<u4"),
        ("h_hash", "<u4"),
        ("h_checksum", "<u4"),
        ("h_reserved", "<u4", 3),
    ]
)
"""ext4_xattr_header, at the start of a block of extended attributes, 32 bytes."""

XATTR_ENTRY: np.dtype[np.void] = np.dtype(
    [
        ("e_name_len", "u1"),
        ("e_name_index", "u1"),
        ("e_value_offs", "<u2"),
        ("e_value_inum", "<u4"),
        ("e_value_size", "<u4"),
        ("e_hash", "<u4"),
    ]
)
"""ext4_xattr_entry up to its name, 16 bytes."""

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 1024
EXT2_SUPER_MAGIC = 0xEF53
GOOD_OLD_REV = 0
GOOD_OLD_INODE_SIZE = 128
GOOD_OLD_FIRST_INO = 11
MIN_DESC_SIZE = 32
MIN_DESC_SIZE_64BIT = 64
CRC32C_CHECKSUM = 1
"""The only s_checksum_type there is."""

OS_HURD = 1
"""In s_creator_os: the upper halves of some fields of inodes mean something else."""

VALID_FS = 0x0001
ERROR_FS = 0x0002

BG_INODE_UNINIT = 0x0001
BG_BLOCK_UNINIT = 0x0002

BAD_INO = 1
ROOT_INO = 2
USR_QUOTA_INO = 3
GRP_QUOTA_INO = 4
RESIZE_INO = 7

I_BLOCK_OFFSET = 40
"""Where i_block starts in an inode."""
EXTRA_OFFSET = 128
"""Where i_extra_isize stands in an inode."""
NDIR_BLOCKS = 12
"""Direct block numbers in i_block; one each for single, double and triple indirect blocks follows."""

S_IFMT = 0xF000
S_IFIFO = 0x1000
S_IFCHR = 0x2000
S_IFDIR = 0x4000
S_IFBLK = 0x6000
S_IFREG = 0x8000
S_IFLNK = 0xA000
S_IFSOCK = 0xC000

IMMUTABLE_FL = 0x00000010
APPEND_FL = 0x00000020
NODUMP_FL = 0x00000040
ENCRYPT_FL = 0x00000800
INDEX_FL = 0x00001000
HUGE_FILE_FL = 0x00040000
EXTENTS_FL = 0x00080000
VERITY_FL = 0x00100000
EA_INODE_FL = 0x00200000
INLINE_DATA_FL = 0x10000000
CASEFOLD_FL = 0x40000000

EXTENT_MAGIC = 0xF30A
EXTENT_INIT_MAX_LEN = 0x8000
"""ee_len above this stands for ee_len - 0x8000 blocks that are allocated and not yet written."""
MAX_EXTENT_DEPTH = 5

FT_UNKNOWN, FT_REG_FILE, FT_DIR, FT_CHRDEV, FT_BLKDEV, FT_FIFO, FT_SOCK, FT_SYMLINK = range(8)
FT_DIR_CSUM = 0xDE
DIR_TAIL_SIZE = 12
DX_ROOT_ENTRIES = 32
"""Offset of the entries in the first block of an htree directory: 12 + 12 for ``.`` and ``..``, 8 for the info."""
DX_NODE_ENTRIES = 8
"""Offset of the entries in an interior node, behind an empty directory entry."""

XATTR_MAGIC = 0xEA020000


def field_offset(dtype: np.dtype[np.void], name: str) -> int:
    """Byte offset of the field ``name`` inside the structure ``dtype``."""
    fields = dtype.fields
    return int(fields[name][1]) if fields is not None else 0
