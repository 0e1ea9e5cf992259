"""Lines of a byte stream from another host: bounded in length, and blank ones passed over."""

from __future__ import annotations

from clawtop.fleet.protocol import ProtocolError


class LineBuffer:
    """What came and was not taken yet."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._blank = 0

    def feed(self, chunk: bytes) -> None:
        """Add what came."""
        self._rest += chunk

    def next_line(self, longest: int) -> bytes | None:
        """The next line that is not blank, without its end; None while it is not whole.

        Raises ProtocolError when a line has more than `longest` bytes, or when that many blank ones come in a row.
        """
        self._skip_blank()
        end = self._rest.find(b"\n", self._searched)
        if (len(self._rest) if end < 0 else end) > longest:
            raise ProtocolError(f"a line of more than {longest} bytes")
        if self._blank > longest:
            raise ProtocolError(f"more than {longest} blank lines")
        if end < 0:
            self._searched = len(self._rest)
            return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        self._searched = self._blank = 0
        return line

    def last(self) -> bytes:
        """What came after the last line, at the end of the stream."""
        line, self._rest = bytes(self._rest), bytearray()
        return line

    def _skip_blank(self) -> None:
        if self._rest.startswith(b"\n"):
            kept = self._rest.lstrip(b"\n")
            self._blank += len(self._rest) - len(kept)
            self._rest, self._searched = kept, 0
