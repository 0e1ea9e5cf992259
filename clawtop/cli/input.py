"""Standard input, read line by line while an event loop runs."""

from __future__ import annotations

import asyncio
import os
import stat
import sys

MOST_OF_A_FILE = 8 * 1024 * 1024
"""As much of a file on standard input is read; whoever steers a verb does so through a pipe."""


async def lines_of_input(limit: int) -> asyncio.StreamReader:
    """Standard input, with lines of at most `limit` bytes. A file, /dev/null too, is no pipe that an event loop can
    wait for: it is read at once, and then the input has ended.
    """
    reader = asyncio.StreamReader(limit=limit)
    if _can_be_awaited(sys.stdin.fileno()):
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return reader
    reader.feed_data(await asyncio.to_thread(sys.stdin.buffer.read, MOST_OF_A_FILE))
    reader.feed_eof()
    return reader


def _can_be_awaited(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
