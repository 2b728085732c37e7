"""Reading an image stream: opening, which checks and bounds everything, and decoding chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from inpart.checksums import blake3_digest, crc32c
from inpart.contracts import Encoding, Finding
from inpart.errors import FilesystemUnsupported, IntegrityError, PluginError, UsageError, VolumeError
from inpart.extents import Extents
from inpart.image.frame import Frame, FrameKind
from inpart.image.index import Index, Table, unpack_index
from inpart.image.lending import Lenders
from inpart.image.meta import Meta
from inpart.image.structs import (
    FOOTER_SIZE,
    FRAME_SIZE,
    HEADER_MAGIC,
    HEADER_SIZE,
    INDEX_SIZE,
    ChunkState,
    Footer,
    Header,
    IndexHeader,
    damaged,
)
from inpart.image.verify import Level, Progress, verify_image
from inpart.volume import Buffer, Volume

Encodings = Mapping[int, Encoding]


class ImageReader:
    """An image stream, opened. Methods may be called from several threads.

    ``lenders`` are asked for what is damaged in it; whoever opened it may set them.
    """

    def __init__(
        self,
        stream: Volume,
        encodings: Encodings,
        parent: ImageReader | None = None,
        *,
        index: Index | None = None,
        findings: tuple[Finding, ...] = (),
        lost: Extents | None = None,
    ) -> None:
        """The last three are for a stream opened in spite of damage; see ``open_damaged``.

        Raises IntegrityError, FilesystemUnsupported; UsageError if ``parent`` is not the image's parent.
        """
        self.stream = stream
        self.encodings = encodings
        self.index = index or read_index(stream, encodings)
        self.findings = findings
        self.lost = lost or Extents()
        self.manifest = self.index.manifest
        self.partition_size = self.index.partition_size
        self.chunk_size = self.index.chunk_size
        self.extents = self.index.extents
        self.chunks: Table = self.index.table
        self.system_areas = self.index.system_areas
        self.extra_areas = self.index.extra_areas
        self.digest = self.index.digest
        self.parent = parent
        self.lenders: Lenders | None = None
        self._check_parent()

    def _check_parent(self) -> None:
        if self.parent is None:
            return
        if self.parent.manifest.image_id != self.manifest.parent:
            raise UsageError(
                f"{self.parent.manifest.name} is not the image that {self.manifest.name} builds on",
                hint=f"give the image with the id {self.manifest.parent}",
            )
        if (self.parent.partition_size, self.parent.chunk_size) != (self.partition_size, self.chunk_size):
            raise damaged("manifest", "names a parent of another size")

    @property
    def image_id(self) -> bytes:
        """16 bytes."""
        return self.index.image_id

    def row(self, number: int) -> int:
        """The row of chunk ``number`` in ``chunks``, -1 if the chunk has no used bytes."""
        at = int(np.searchsorted(self.chunks["chunk"], number))
        return at if at < len(self.chunks) and int(self.chunks["chunk"][at]) == number else -1

    def chunk_extents(self, number: int) -> Extents:
        """The used bytes of the partition in chunk ``number``."""
        return self.extents.clip(number * self.chunk_size, (number + 1) * self.chunk_size)

    def has_same(self, number: int, extents: Extents, digest: bytes) -> bool:
        """True if chunk ``number`` has the same used bytes with the same content here."""
        row = self.row(number)
        return row >= 0 and self.chunks["digest"][row].tobytes() == digest and self.chunk_extents(number) == extents

    def read_chunk(self, number: int) -> bytes:
        """The used bytes of chunk ``number``, proven by CRC-32C and BLAKE3; empty if there are none.

        What is damaged here comes from another image that holds the same, if there is one.
        Raises IntegrityError, PluginError if the encoding is unknown, UsageError if the parent image is needed.
        """
        row = self.row(number)
        if row < 0:
            return b""
        try:
            return self.decode_body(number, row, self.read_body(row))
        except (IntegrityError, VolumeError):
            content = self.borrowed(number, row)
            if content is None:
                raise
            return content

    def borrowed(self, number: int, row: int) -> bytes | None:
        """The content of a chunk that is damaged here, from another image that holds the same; None if none does."""
        if self.lenders is None:
            return None
        return self.lenders.chunk(number, self.chunk_extents(number), self.chunks["digest"][row].tobytes())

    def read_body(self, row: int) -> bytes:
        """The encoded body of the chunk in ``row`` of the table, empty if it has no frame. Raises IntegrityError."""
        entry = self.chunks[row]
        if entry["state"] != ChunkState.STORED:
            return b""
        start, length = int(entry["frame_offset"]) + FRAME_SIZE + int(entry["runs_length"]), int(entry["body_length"])
        if start + length > self.stream.size:
            raise self.chunk_error(int(entry["chunk"]), "its frame is cut off")
        body = self.stream.read(start, length)
        if crc32c(body) != int(entry["body_crc"]):
            raise self.chunk_error(int(entry["chunk"]), "its stored bytes have a wrong checksum")
        return body

    def decode_body(self, number: int, row: int, body: Buffer) -> bytes:
        """The used bytes of chunk ``number``, in ``row`` of the table, from its encoded body. Raises IntegrityError."""
        entry = self.chunks[row]
        state, size = int(entry["state"]), int(entry["plain_length"])
        if state == ChunkState.ZERO:
            return bytes(size)
        if state == ChunkState.PARENT:
            plain = self._parent_chunk(number)
        else:
            try:
                plain = decoder(self.encodings, int(entry["encoding"])).decode(body, size)
            except IntegrityError as error:
                raise self.chunk_error(number, error.message) from None
        if blake3_digest(plain) != entry["digest"].tobytes():
            raise self.chunk_error(number, "its content does not have the recorded BLAKE3 digest")
        return plain

    def _parent_chunk(self, number: int) -> bytes:
        if self.parent is None:
            raise UsageError(
                f"the image {self.manifest.name} needs its parent {self.manifest.parent}",
                hint="name the place where the parent image is",
            )
        return self.parent.read_chunk(number)

    def chunk_error(self, number: int, what: str) -> IntegrityError:
        """The error that names the image, the chunk and its place in the partition."""
        start, end = number * self.chunk_size, (number + 1) * self.chunk_size
        return IntegrityError(
            f"image {self.manifest.name}, chunk {number} (partition bytes {start} to {end}): {what}",
            hint="inpart verify names the files that lie there",
        )

    def verify(self, level: Level = "full", progress: Progress | None = None) -> Iterator[Finding]:
        """What is wrong with the stored bytes; see ``verify_image``."""
        return verify_image(self, level, progress)


def decoder(encodings: Encodings, encoding_id: int) -> Encoding:
    """The encoding with that id. Raises PluginError."""
    if encoding_id not in encodings:
        raise PluginError(
            f"the image uses encoding number {encoding_id}, which no installed plugin has",
            hint="install the plugin that the image was made with; inpart plugins lists what is there",
        )
    return encodings[encoding_id]


def read_index(stream: Volume, encodings: Encodings) -> Index:
    """The header, footer and index of ``stream``, checked against each other. Raises IntegrityError and others."""
    header = Header.unpack(_read(stream, 0, HEADER_SIZE, "header"))
    return load_index(stream, read_footer(stream), encodings, header)


def read_footer(stream: Volume) -> Footer:
    """The last 128 bytes of ``stream``. Raises IntegrityError, FilesystemUnsupported."""
    footer = Footer.unpack(_read(stream, stream.size - FOOTER_SIZE, FOOTER_SIZE, "footer"))
    if footer.stream_size != stream.size:
        raise damaged("footer", f"belongs to a stream of {footer.stream_size} bytes, not {stream.size}")
    return footer


def load_index(stream: Volume, footer: Footer, encodings: Encodings, header: Header | None) -> Index:
    """The index that ``footer`` points to; ``header`` is None when it is lost. Raises IntegrityError."""
    stated = IndexHeader.unpack(_read(stream, footer.index_offset, INDEX_SIZE, "index"))
    if stated.size != footer.index_length:
        raise damaged("index", f"has {footer.index_length} bytes where its header states {stated.size}")
    data = _read(stream, footer.index_offset, footer.index_length, "index")
    if blake3_digest(data) != footer.digest:
        raise damaged("index", "does not have the BLAKE3 digest in the footer")
    parts = unpack_index(stated, data, footer.index_offset)
    if stated.image_id != footer.image_id or (
        header
        and (header.image_id, header.parent_id, header.partition_size, header.chunk_size)
        != (stated.image_id, stated.parent_id, stated.partition_size, stated.chunk_size)
    ):
        raise damaged("index", "belongs to another image than header and footer")
    meta = unpack_meta(parts.meta_frame, encodings)
    return Index(
        stated.image_id, stated.partition_size, stated.chunk_size, parts.manifest, parts.extents, parts.table,
        meta.system_areas, meta.extra_areas, footer.digest, footer.index_offset,
    )  # fmt: skip


def unpack_meta(data: bytes | memoryview, encodings: Encodings) -> Meta:
    """The content of a whole META frame. Raises IntegrityError, PluginError."""
    frame = Frame.unpack(data)
    body = bytes(data[FRAME_SIZE:])
    if frame.kind is not FrameKind.META or len(body) != frame.body_length or crc32c(body) != frame.body_crc:
        raise damaged("description", "has a wrong checksum")
    plain = decoder(encodings, frame.encoding).decode(body, frame.plain_length)
    if blake3_digest(plain) != frame.digest:
        raise damaged("description", "does not have its BLAKE3 digest")
    return Meta.unpack(plain, frame.partition_size)


def is_image_stream(volume: Volume) -> bool:
    """True if ``volume`` opens with the magic of an image stream, or ends with the footer of one of just its size."""
    if volume.size < HEADER_SIZE:
        return False
    if volume.read(0, len(HEADER_MAGIC)) == HEADER_MAGIC:
        return True
    try:
        read_footer(volume)
    except (IntegrityError, FilesystemUnsupported, VolumeError):
        return False
    return True


def _read(stream: Volume, offset: int, length: int, what: str) -> bytes:
    if offset < 0 or offset + length > stream.size:
        raise damaged(what, "is cut off")
    return stream.read(offset, length)
