"""Files made wrong, with knowledge of what they are: JSON by its values, lines by lines, all of them by bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1e308,
        -1e308,
        2**53,
        2**80,
        10**400,
        1.5,
        "",
        "x",
        "\0",
        "\x1b[2J",
        "a\r\nb",
        "\u202e",
    ),
    *(
        "\ud800",
        "[/bold] x",
        "../../../etc/passwd",
        "http://[",
        "/dev/zero",
        "~",
        "x" * 5_000,
        "é" * 300,
        [],
        {},
        [[]],
        {"": {}},
    ),
    *({"__proto__": {"a": 1}}, ["x"] * 300, "2026-13-45T99:99:99Z", "1970-01-01", -62135596800000, 8.64e15, 9e15),
)
RAW = (b"NaN", b"-Infinity", b"1e999", b'"\\ud800"', b"[" * 3_000 + b"]" * 3_000, b'{"a":' * 300 + b"1" + b"}" * 300)


def mutated(content: bytes, random: Random) -> bytes:
    """`content`, wrong in one to three ways."""
    for _ in range(random.randint(1, 3)):
        content = random.choice((_by_value, _by_value, _by_value, _by_line, _by_bytes, _by_raw))(content, random)
    return content


def _by_value(content: bytes, random: Random) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _by_line(content, random)
    try:
        return json.dumps(_changed(value, random)).encode()
    except (ValueError, RecursionError):
        return content


def _changed(value: Any, random: Random) -> Any:
    if random.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return random.choice(VALUES)
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [_changed(item, random) if index == at else item for index, item in enumerate(value)]
    key = random.choice(list(value))
    match random.randrange(8):
        case 0:
            return {name: item for name, item in value.items() if name != key}
        case 1:
            return {**value, random.choice(("\0", "\x1b]0;x\x07", "a" * 2_000, "x:y:z", "")): value[key]}
        case _:
            return {**value, key: _changed(value[key], random)}


def _by_line(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
        case _:
            try:
                lines[at] = json.dumps(_changed(json.loads(lines[at]), random)).encode()
            except (ValueError, RecursionError):
                lines[at] = lines[at][::-1]
    return b"\n".join(lines)


def _by_bytes(content: bytes, random: Random) -> bytes:
    data = bytearray(content or b"x")
    for _ in range(random.randint(1, 8)):
        at = random.randrange(len(data))
        data[at : at + random.randint(0, 3)] = random.randbytes(random.randint(0, 4))
        data = data or bytearray(b"x")
    return bytes(data[: random.randrange(len(data)) + 1] if random.random() < 0.2 else data)


def _by_raw(content: bytes, random: Random) -> bytes:
    at = content.find(b":", random.randrange(len(content) + 1))
    return content if at < 0 else content[: at + 1] + random.choice(RAW) + content[at + 1 :]


def replaced(path: Path, random: Random) -> None:
    """Something else than a file in the place of `path`."""
    path.unlink(missing_ok=True)
    match random.randrange(6):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to("/dev/zero")
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.symlink_to(path.parent / "nowhere")
        case 4:
            path.mkdir()
        case _:
            path.touch()
            path.chmod(0)


def grown(content: bytes, random: Random) -> tuple[bytes, bytes, bytes]:
    """(beginning, part, end): `content` with a part of it that may be repeated at will."""
    lines = content.split(b"\n")
    at = random.randrange(len(lines))
    before, after = b"\n".join(lines[:at]), b"\n".join(lines[at:])
    match random.randrange(4):
        case 0:  # a line
            return before + b"\n" * (at > 0), lines[at] + b"\n", after
        case 1:  # a member of a list or of an object, or characters in a string
            return _in_json(content, random)
        case 2:  # what nests
            part = random.choice((b"[", b"{", b'{"a":', b"(", b"<", b'"', b"\\", b"data: ", b"\r", b"\n", b" "))
            place = random.randrange(len(content) + 1)
            return content[:place], part, content[place:]
        case _:
            place = random.randrange(len(content))
            return content[:place], content[place : place + random.randint(1, 60)], content[place:]


def _in_json(content: bytes, random: Random) -> tuple[bytes, bytes, bytes]:
    """A place behind a colon: there a list, an object or a string may grow."""
    colons = [index + 1 for index, byte in enumerate(content) if byte == ord(":")]
    place = random.choice(colons or [0])
    opened, part, closed = random.choice((
        (b"[0", b",0", b"]"),
        (b"[{}", b',{"type":"text","text":"x"}', b"]"),
        (b'{"a":0', b',"a":0', b"}"),
        (b'"', b"x", b'"'),
        (b'"', b"\\u00e9", b'"'),
        (b'"', b"a=b ", b'"'),
        (b'"', b"https://a:b@", b'"'),
        (b"1", b"0", b""),
    ))  # fmt: skip
    rest = content[place:]
    ends = [end for mark in (b",", b"}", b"\n") if (end := rest.find(mark)) >= 0]
    return content[:place] + opened, part, closed + rest[min(ends, default=0) :]
