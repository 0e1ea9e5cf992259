"""The bytes of a body as UTF-8, which JSON and event streams are by their standards.

Servers that write UTF-16 or UTF-32, or that compress without being asked, are recognised by their bytes.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import AsyncIterator

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NULS = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}
"""Which of the first four bytes are NUL, where the first characters are ASCII."""
_ENOUGH = 4


class Utf8:
    """Turns what comes into UTF-8, piece by piece; UTF-8 passes through as it is."""

    def __init__(self) -> None:
        self._first = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._known = False

    def feed(self, piece: bytes, *, last: bool = False) -> bytes:
        """What this piece completes, as UTF-8, up to the last whole character. `last`: nothing follows."""
        if not self._known:
            piece = self._first + piece
            if len(piece) < _ENOUGH and not last:
                self._first = piece
                return b""
            self._known, self._first = True, b""
            encoding = _encoding_of(piece[:_ENOUGH])
            self._decoder = None if encoding is None else codecs.getincrementaldecoder(encoding)("replace")
        if self._decoder is None:
            return piece
        return self._decoder.decode(piece, last).encode("utf-8", "replace")


def _encoding_of(first: bytes) -> str | None:
    """The encoding of a text that begins with these bytes; None: UTF-8, or unknown."""
    marked = next((encoding for mark, encoding in _MARKS if first.startswith(mark)), None)
    return marked or _NULS.get(tuple(byte == 0 for byte in first))  # type: ignore[arg-type]


def as_utf8(body: bytes) -> bytes:
    """All of a body at once, without a byte order mark."""
    return Utf8().feed(body, last=True).removeprefix(codecs.BOM_UTF8)


GZIP = b"\x1f\x8b"


DEFLATE = "deflate"
MOST_AT_ONCE = 64 * 1024
"""A packed body is unpacked in pieces of this size, as large as those that come over a connection: a kilobyte may hold
a megabyte.
"""


async def unpacked(chunks: AsyncIterator[bytes], packing: str = "") -> AsyncIterator[bytes]:
    """A body decompressed: gzip (of several members too) whatever its label, deflate if `packing` (the label) says so;
    any other unchanged. Raises zlib.error.
    """
    unpacker: zlib._Decompress | None = None
    begun = False
    async for chunk in chunks:
        if not begun and chunk:
            begun = True
            unpacker = _unpacker(chunk, packing)
        if unpacker is None:
            yield chunk
            continue
        rest = chunk
        while rest:
            yield unpacker.decompress(rest, MOST_AT_ONCE)
            rest = unpacker.unconsumed_tail
            if not rest and unpacker.unused_data.startswith(GZIP):
                rest, unpacker = unpacker.unused_data, zlib.decompressobj(zlib.MAX_WBITS | 16)
    if unpacker is not None:
        yield unpacker.flush()


def _unpacker(first: bytes, packing: str) -> zlib._Decompress | None:
    if first.startswith(GZIP):
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if packing != DEFLATE:
        return None
    as_zlib = first[0] & 0x0F == zlib.DEFLATED and int.from_bytes(first[:2], "big") % 31 == 0
    return zlib.decompressobj() if as_zlib else zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave the head out
