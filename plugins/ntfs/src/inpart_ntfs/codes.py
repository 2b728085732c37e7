"""The numbers that stand in the structures of NTFS: types, flags, and the records that every volume has."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class AttributeType(IntEnum):
    """Types of attributes, in the order in which they stand in a record."""

    STANDARD_INFORMATION = 0x10
    ATTRIBUTE_LIST = 0x20
    FILE_NAME = 0x30
    OBJECT_ID = 0x40
    SECURITY_DESCRIPTOR = 0x50
    VOLUME_NAME = 0x60
    VOLUME_INFORMATION = 0x70
    DATA = 0x80
    INDEX_ROOT = 0x90
    INDEX_ALLOCATION = 0xA0
    BITMAP = 0xB0
    REPARSE_POINT = 0xC0
    EA_INFORMATION = 0xD0
    EA = 0xE0
    PROPERTY_SET = 0xF0
    LOGGED_UTILITY_STREAM = 0x100
    END = 0xFFFFFFFF


class AttributeFlag(IntFlag):
    """Flags of an attribute."""

    COMPRESSED = 0x0001
    COMPRESSION_MASK = 0x00FF
    ENCRYPTED = 0x4000
    SPARSE = 0x8000


class RecordFlag(IntFlag):
    """Flags of a FILE record."""

    IN_USE = 0x0001
    IS_DIRECTORY = 0x0002
    IS_4 = 0x0004
    IS_VIEW_INDEX = 0x0008


class FileAttribute(IntFlag):
    """file_attributes; the last two occur in FILE_NAME only."""

    READONLY = 0x0001
    HIDDEN = 0x0002
    SYSTEM = 0x0004
    DIRECTORY = 0x0010
    ARCHIVE = 0x0020
    DEVICE = 0x0040
    NORMAL = 0x0080
    TEMPORARY = 0x0100
    SPARSE_FILE = 0x0200
    REPARSE_POINT = 0x0400
    COMPRESSED = 0x0800
    OFFLINE = 0x1000
    NOT_CONTENT_INDEXED = 0x2000
    ENCRYPTED = 0x4000
    DUP_FILE_NAME_INDEX = 0x10000000
    DUP_VIEW_INDEX = 0x20000000


class Namespace(IntEnum):
    """file_name_type."""

    POSIX = 0
    WIN32 = 1
    DOS = 2
    WIN32_AND_DOS = 3


class VolumeFlag(IntFlag):
    """Flags of VOLUME_INFORMATION. SEEN_BY_WINDOWS has no public name: every volume of a current Windows has it."""

    IS_DIRTY = 0x0001
    RESIZE_LOG_FILE = 0x0002
    UPGRADE_ON_MOUNT = 0x0004
    MOUNTED_ON_NT4 = 0x0008
    DELETE_USN_UNDERWAY = 0x0010
    REPAIR_OBJECT_ID = 0x0020
    SEEN_BY_WINDOWS = 0x0080
    CHKDSK_UNDERWAY = 0x4000
    MODIFIED_BY_CHKDSK = 0x8000


class IndexFlag(IntFlag):
    """Flags of an index entry."""

    NODE = 0x0001
    END = 0x0002


class Number(IntEnum):
    """Numbers of the records that every volume has."""

    MFT = 0
    MFT_MIRR = 1
    LOG_FILE = 2
    VOLUME = 3
    ATTR_DEF = 4
    ROOT = 5
    BITMAP = 6
    BOOT = 7
    BAD_CLUS = 8
    SECURE = 9
    UPCASE = 10
    EXTEND = 11


FIRST_USER = 24
"""Records below this number are reserved."""
REFERENCE_MASK = (1 << 48) - 1
"""The part of a file reference that is a record number; the sequence number stands above it."""
