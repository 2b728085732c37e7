"""Conformance of an encoding: behaviours N1 to N7 of docs/PLUGINS.md."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar

import pytest

from inpart.contracts import Encoding
from inpart.errors import IntegrityError, UsageError
from inpart.plugins import Kind
from inpart.testing.kit import ProviderKit, noting
from inpart.units import MIB
from inpart.volume import Buffer

_THREADS = 8
_CHUNK = 256 * 1024
_BOMB = 64 * MIB
_BOMB_MEMORY = 16 * MIB


def _samples() -> list[bytes]:
    noise = random.Random(1).randbytes(_CHUNK)
    text = b"".join(b"line %d of some text\n" % number for number in range(5000))
    return [b"\0", b"x" * 511, bytes(4096), noise[:4097], text, noise[:2000] + bytes(60000) + text, noise]


class EncodingKit(ProviderKit):
    """The adopter gives ``provider``; ``arguments`` are texts after the colon that it takes, ``bad_arguments`` not."""

    kind = Kind.ENCODING
    provider: ClassVar[Encoding]
    arguments: ClassVar[Sequence[str]] = ()
    bad_arguments: ClassVar[Sequence[str]] = ("no such parameter", "3+", "-1e9")

    def configurations(self) -> list[Encoding]:
        """The provider as it is and with each of ``arguments``."""
        return [self.provider, *(self.provider.configured(argument) for argument in self.arguments)]

    def test_n1_what_goes_in_comes_out(self) -> None:
        """N1: decoding yields what was encoded, whatever the bytes and the type of the buffer."""
        for encoding in self.configurations():
            for data in _samples():
                for buffer in (data, bytearray(data), memoryview(data)):
                    body = encoding.encode(buffer)
                    assert encoding.decode(body, len(data)) == data, f"N1: {encoding.name}, {len(data)} bytes"
                    assert encoding.decode(memoryview(body), len(data)) == data, "N1: from a memoryview"

    def test_n2_decoding_needs_no_parameters(self) -> None:
        """N2: what any configuration encoded, the provider itself decodes."""
        for encoding in self.configurations():
            assert encoding.encoding_id == self.provider.encoding_id, "N2: a configuration has another number"
            for data in _samples():
                decoded = self.provider.decode(encoding.encode(data), len(data))
                assert decoded == data, f"N2: {encoding.parameters!r} needs its parameters"

    def test_n3_another_size_is_an_integrity_error(self) -> None:
        """N3: decoding to more or fewer bytes than were encoded raises IntegrityError."""
        for data in _samples():
            body = self.provider.encode(data)
            for size in (len(data) - 1, len(data) + 1, 2 * len(data)):
                with noting(f"N3: {len(data)} bytes decoded to {size}"), pytest.raises(IntegrityError):
                    self.provider.decode(body, size)

    def test_n4_decoding_is_bounded(self) -> None:
        """N4: a body that would become huge raises IntegrityError without first becoming so."""
        body = self.provider.encode(bytes(_BOMB))
        tracemalloc.start()
        try:
            with noting("N4: a bomb"), pytest.raises(IntegrityError):
                self.provider.decode(body, 4096)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= _BOMB_MEMORY, f"N4: {peak} bytes of memory for a body of 4096"

    def test_n5_damage_raises_typed_errors_only(self) -> None:
        """N5: decoding a damaged body raises IntegrityError or yields exactly the size asked for."""
        chance = random.Random(5)
        for data in _samples():
            body = self.provider.encode(data)
            bodies: list[Buffer] = [b"", body[: len(body) // 2], body + b"\0", chance.randbytes(len(body))]
            for _ in range(32):
                damaged = bytearray(body)
                damaged[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
                bodies.append(damaged)
            for damaged_body in bodies:
                with noting("N5: a damaged body"), suppress(IntegrityError):
                    decoded = self.provider.decode(damaged_body, len(data))
                    assert len(decoded) == len(data), f"N5: {len(decoded)} bytes instead of {len(data)}"

    def test_n6_threads_may_share_it(self) -> None:
        """N6: one object encodes and decodes in several threads at once."""
        samples = _samples() * 8

        def there_and_back(data: bytes) -> bool:
            return self.provider.decode(self.provider.encode(data), len(data)) == data

        with noting("N6: several threads"), ThreadPoolExecutor(_THREADS) as pool:
            assert all(pool.map(there_and_back, samples)), "N6: threads disturb each other"

    def test_n7_configuration_is_checked(self) -> None:
        """N7: configured makes a new object, records its parameters, and refuses what it does not know."""
        before = self.provider.parameters.model_dump_json()
        for encoding in self.configurations()[1:]:
            assert encoding is not self.provider, "N7: configured returned the provider itself"
            parameters = encoding.parameters
            again = type(parameters).model_validate_json(parameters.model_dump_json())
            assert again == parameters, "N7: the parameters do not survive being recorded"
        for argument in self.bad_arguments:
            with noting(f"N7: {argument!r} was taken"), pytest.raises(UsageError):
                self.provider.configured(argument)
        assert self.provider.parameters.model_dump_json() == before, "N7: the provider itself has changed"
