"""The encoding ``zstd``: each body is one Zstandard frame (RFC 8878) that states its content size."""

from __future__ import annotations

import threading

import zstandard
from pydantic import BaseModel, ConfigDict, Field

from inpart.contracts import API_VERSION
from inpart.errors import IntegrityError, UsageError
from inpart.units import KIB, MIB
from inpart.volume import Buffer

MIN_LEVEL = -7
MAX_LEVEL = 22
_TRIED_LEVELS = (3, 4)
_TRIED_SIZE = MIB
_PIECES = 16
_PIECE = 2 * KIB
_HARDLY = 0.8
_WINDOW_LOG = 24


class ZstdParameters(BaseModel):
    """``level`` is Zstandard's compression level."""

    model_config = ConfigDict(frozen=True)

    level: int = Field(default=3, ge=MIN_LEVEL, le=MAX_LEVEL)


class ZstdEncoding:
    """Zstandard; encoding id 2. Each thread keeps its compressors and one decompressor and uses them again.

    Matches are looked for in all of a chunk, up to 16 MiB, which costs no time: level 3's own window is 2 MiB.

    Photos, films and archives hardly shrink, but levels 3 and 4 look for matches in them for as long as in programs.
    So large data are tried first: if pieces from all over them hardly shrink, level 1's way of looking, with a larger
    table and window, makes the same size of them in half the time.
    """

    name = "zstd"
    api_version = API_VERSION
    summary = "Zstandard compression, zstd:LEVEL with level -7 to 22, default 3"
    encoding_id = 2

    def __init__(self, parameters: ZstdParameters | None = None) -> None:
        self.parameters: BaseModel = parameters or ZstdParameters()
        self._level = (parameters or ZstdParameters()).level
        self._local = threading.local()

    def configured(self, argument: str) -> ZstdEncoding:
        """``argument`` is the level, or empty for the default. Raises UsageError."""
        if not argument:
            return ZstdEncoding()
        try:
            level = int(argument)
        except ValueError:
            level = MAX_LEVEL + 1
        if not MIN_LEVEL <= level <= MAX_LEVEL:
            raise UsageError(
                f"{argument!r} is not a level of zstd",
                hint=f"write zstd:LEVEL with a level from {MIN_LEVEL} to {MAX_LEVEL}, such as zstd:3",
            )
        return ZstdEncoding(ZstdParameters(level=level))

    def encode(self, data: Buffer) -> bytes:
        if self._level in _TRIED_LEVELS and len(data) >= _TRIED_SIZE and self._hardly_shrinks(data):
            return self._quick().compress(data)
        if len(data) >= _TRIED_SIZE:
            return self._wide().compress(data)
        compressor: zstandard.ZstdCompressor | None = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = zstandard.ZstdCompressor(level=self._level, write_checksum=False, write_content_size=True)
            self._local.compressor = compressor
        return compressor.compress(data)

    def _wide(self) -> zstandard.ZstdCompressor:
        compressor: zstandard.ZstdCompressor | None = getattr(self._local, "wide", None)
        if compressor is None:
            usual = zstandard.ZstdCompressionParameters.from_level(self._level)
            parameters = zstandard.ZstdCompressionParameters.from_level(
                self._level,
                window_log=max(usual.window_log, _WINDOW_LOG),
                write_checksum=False,
                write_content_size=True,
            )
            compressor = self._local.wide = zstandard.ZstdCompressor(compression_params=parameters)
        return compressor

    def _hardly_shrinks(self, data: Buffer) -> bool:
        view, step = memoryview(data), len(data) // _PIECES
        sample = b"".join(view[at : at + _PIECE] for at in range(0, step * _PIECES, step))
        return len(self._quick().compress(sample)) > _HARDLY * len(sample)

    def _quick(self) -> zstandard.ZstdCompressor:
        compressor: zstandard.ZstdCompressor | None = getattr(self._local, "quick", None)
        if compressor is None:
            parameters = zstandard.ZstdCompressionParameters(
                compression_level=1, strategy=zstandard.STRATEGY_FAST, hash_log=17, min_match=5, window_log=_WINDOW_LOG,
                write_checksum=False, write_content_size=True,
            )  # fmt: skip
            compressor = self._local.quick = zstandard.ZstdCompressor(compression_params=parameters)
        return compressor

    def decode(self, data: Buffer, size: int) -> bytes:
        decompressor: zstandard.ZstdDecompressor | None = getattr(self._local, "decompressor", None)
        if decompressor is None:
            decompressor = self._local.decompressor = zstandard.ZstdDecompressor()
        try:
            stated = zstandard.get_frame_parameters(data).content_size
            if stated != size:
                raise IntegrityError(f"a zstd frame states {stated} bytes where {size} are recorded")
            plain = decompressor.decompress(data, max_output_size=size, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise IntegrityError(f"a body is not a valid zstd frame: {error}") from None
        if len(plain) != size:
            raise IntegrityError(f"a zstd frame holds {len(plain)} bytes where {size} are recorded")
        return plain
