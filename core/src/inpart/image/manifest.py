"""The manifest: what an image is and where it came from, as a pydantic model stored as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from inpart.errors import IntegrityError

ImageId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Size = Annotated[int, Field(ge=0, lt=1 << 63)]
ShortText = Annotated[str, Field(max_length=256)]


class PartitionIdentity(BaseModel):
    """Where the partition was when the image was made. Offsets and sizes in bytes; 0 and empty mean unknown."""

    model_config = ConfigDict(frozen=True)

    disk_offset: Size = 0
    size: Size
    sector_size: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    number: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    table: Literal["", "mbr", "gpt"] = ""
    type_code: ShortText = ""
    disk_id: ShortText = ""
    partition_uuid: ShortText = ""
    disk_size: Size = 0


class FilesystemIdentity(BaseModel):
    """What the file system said of itself. Sizes in bytes."""

    model_config = ConfigDict(frozen=True)

    kind: ShortText
    label: ShortText = ""
    uuid: ShortText = ""
    cluster_size: Size = 0
    size: Size = 0
    used_bytes: Size = 0


class Manifest(BaseModel):
    """What an image is. ``image_id`` and ``parent`` are 32 hexadecimal digits.

    ``chunk_size``, ``image_bytes`` (used bytes held), ``stored_bytes`` (header and frames) and ``encodings`` are set
    by the writer. ``mode`` is ``used`` or ``all-sectors``. ``left_out`` files had their content left out
    because of the patterns ``include`` and ``exclude``; ``excluded`` names the first of them.
    """

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=128)]
    kind: Literal["factory", "user"] = "user"
    image_id: ImageId
    parent: ImageId | None = None
    created: AwareDatetime
    partition: PartitionIdentity
    filesystem: FilesystemIdentity
    encodings: tuple[ShortText, ...] = ()
    mode: Literal["used", "all-sectors"] = "used"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    left_out: Size = 0
    excluded: tuple[str, ...] = ()
    chunk_size: Size = 0
    image_bytes: Size = 0
    stored_bytes: Size = 0
    tool_version: ShortText = ""

    @property
    def lacks_files(self) -> bool:
        """True if the content of some files was left out."""
        return self.lacking > 0

    @property
    def lacking(self) -> int:
        """Number of files whose content was left out; images of the first version only name them."""
        return max(self.left_out, len(self.excluded))

    @property
    def lacks_chosen_files(self) -> bool:
        """True if some of these were chosen by patterns, and are not just swap space."""
        return self.lacks_files and bool(self.include or self.exclude)

    @property
    def id_bytes(self) -> bytes:
        """The image id as 16 bytes."""
        return bytes.fromhex(self.image_id)

    @property
    def parent_bytes(self) -> bytes | None:
        """The parent's id as 16 bytes."""
        return None if self.parent is None else bytes.fromhex(self.parent)

    def to_json(self) -> bytes:
        """The stored form: compact JSON in UTF-8."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Raises IntegrityError; unknown keys are those of a newer minor version and are ignored."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            raise IntegrityError(f"the manifest of the image is not valid: {place} {first['msg']}") from None
