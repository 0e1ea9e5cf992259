"""The part of etcd v3 that a registry needs, through its JSON gateway (`/v3/...`, etcd 3.4 and later), over httpx.

Every call has a deadline; endpoints are tried in turn. Keys and values are bytes; revisions count changes of the whole
cluster, so that any two of them can be ordered.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from clawtop import nested
from clawtop.clock import Clock
from clawtop.errors import ClawtopError
from clawtop.text import shown
from clawtop.values import dataclass

CALL_S = 2.0
MAX_ANSWER = 8 * 1024 * 1024


class EtcdUnreachableError(ClawtopError):
    """No endpoint gave a valid answer (exit 3)."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key's current value. `revision`: of its last change; `created`: of its creation."""

    key: bytes
    value: bytes
    revision: int
    created: int
    lease: int


@dataclass(frozen=True, slots=True)
class Put:
    """Set a key; with `lease` it is deleted with the lease."""

    key: bytes
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Revision:
    """A condition: the key was last changed at `revision`; 0: it does not exist."""

    key: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Created:
    """A condition: the key was created at `revision` and has not been removed since."""

    key: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Range:
    """The keys that begin with `prefix`, or exactly `prefix` where `exact`."""

    prefix: bytes
    exact: bool = False


class Etcd:
    """A cluster. One event loop; nothing is contacted before the first call."""

    def __init__(
        self, endpoints: Sequence[str], clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`endpoints`: base URLs such as `http://host:2379`."""
        self._clock = clock
        self._endpoints = list(endpoints)
        self._http = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - the clock ends calls
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            verify=any(endpoint.startswith("https:") for endpoint in endpoints),  # loading the CAs takes a while
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def grant(self, ttl_s: int) -> tuple[int, int]:
        """A new lease: its id, and its actual duration in seconds."""
        answer = await self._call("/v3/lease/grant", {"TTL": ttl_s})
        return _number(answer, "ID"), _number(answer, "TTL")

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease; returns the seconds that it lasts from now on, 0 if it has ended."""
        answer = await self._call("/v3/lease/keepalive", {"ID": str(lease)})
        result = answer.get("result", answer)
        return _number(result, "TTL") if isinstance(result, dict) else 0

    async def revoke(self, lease: int) -> None:
        """End a lease: its keys are deleted at once."""
        await self._call("/v3/lease/revoke", {"ID": str(lease)})

    async def read(self, *ranges: Range) -> tuple[tuple[KeyValue, ...], ...]:
        """The keys of several ranges, all as of one moment."""
        operations = [{"request_range": _range(one)} for one in ranges]
        answer = await self._call("/v3/kv/txn", {"success": operations})
        responses = _listed(answer, "responses")
        found = [one.get("response_range") for one in responses if isinstance(one, dict)]
        if len(found) != len(ranges) or not all(isinstance(one, dict) for one in found):
            raise EtcdUnreachableError("etcd's answer is not a transaction")
        return tuple(tuple(map(_key_value, _listed(one, "kvs"))) for one in found)

    async def commit(self, conditions: Sequence[Revision | Created], changes: Sequence[Put | Delete]) -> int | None:
        """Make all changes if all conditions hold; the revision of the change, None when one did not hold."""
        answer = await self._call(
            "/v3/kv/txn",
            {"compare": [_compare(one) for one in conditions], "success": [_change(one) for one in changes]},
        )
        if answer.get("succeeded") is not True:
            return None
        header = answer.get("header")
        return _number(header, "revision") if isinstance(header, dict) else 0

    async def watch(self, *ranges: Range) -> AsyncIterator[bytes]:
        """The keys below the ranges that change, from now on, until the stream ends. Raises EtcdUnreachableError."""
        requests = [{"create_request": _range(one)} for one in ranges]
        content = "\n".join(json.dumps(one) for one in requests)
        timeout = httpx.Timeout(CALL_S, read=None)
        try:
            async with self._http.stream(
                "POST", self._endpoints[0] + "/v3/watch", content=content, timeout=timeout
            ) as answer:
                async for line in _lines(answer):
                    for event in _listed(_decoded(line).get("result"), "events"):
                        value = event.get("kv") if isinstance(event, dict) else None
                        if isinstance(value, dict):
                            yield _bytes(value.get("key"))
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        failure: Exception | None = None
        for endpoint in list(self._endpoints):
            try:
                async with self._clock.timeout(CALL_S), self._http.stream("POST", endpoint + path, json=body) as answer:
                    status, content = answer.status_code, await _bounded(answer)
                if status >= 500:
                    raise ValueError(f"HTTP {status}: {content[:200].decode('utf-8', 'replace')}")
                decoded = _decoded(content)
                if status >= 400:
                    why = shown(decoded.get("message", status), 200)
                    raise EtcdUnreachableError(f"etcd at {shown(endpoint, 80)} refuses: {why}")
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RuntimeError) as error:
                failure = error  # RuntimeError: closed by the end of the engine
                self._endpoints.append(self._endpoints.pop(0))
            else:
                return decoded
        raise self._unreachable(failure)

    def _unreachable(self, error: Exception | None) -> EtcdUnreachableError:
        where = ", ".join(shown(one, 60) for one in sorted(self._endpoints)[:3])
        return EtcdUnreachableError(f"etcd does not answer ({where}): {shown(error, 160) or type(error).__name__}")


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"


def _range(one: Range) -> dict[str, Any]:
    return {"key": _text(one.prefix)} | ({} if one.exact else {"range_end": _text(prefix_end(one.prefix))})


def _compare(condition: Revision | Created) -> dict[str, Any]:
    target = "MOD" if isinstance(condition, Revision) else "CREATE"
    field = "mod_revision" if isinstance(condition, Revision) else "create_revision"
    return {"key": _text(condition.key), "target": target, "result": "EQUAL", field: str(condition.revision)}


def _change(change: Put | Delete) -> dict[str, Any]:
    if isinstance(change, Delete):
        return {"request_delete_range": {"key": _text(change.key)}}
    return {"request_put": {"key": _text(change.key), "value": _text(change.value), "lease": str(change.lease)}}


def _key_value(raw: Any) -> KeyValue:
    if not isinstance(raw, dict):
        raise EtcdUnreachableError("etcd's answer is not a key")
    return KeyValue(
        key=_bytes(raw.get("key")),
        value=_bytes(raw.get("value", "")),
        revision=_number(raw, "mod_revision"),
        created=_number(raw, "create_revision"),
        lease=_number(raw, "lease"),
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except ValueError as error:
        raise EtcdUnreachableError("etcd's answer is not base64") from error


async def _bounded(answer: httpx.Response) -> bytes:
    """The body. Raises ValueError if it is too long."""
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise ValueError(f"an answer of more than {MAX_ANSWER // 1024 // 1024} MiB")
    return bytes(content)


async def _lines(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The lines of a streamed body. Raises ValueError for a line that is too long."""
    rest, searched = bytearray(), 0
    async for chunk in answer.aiter_bytes():
        rest += chunk
        while (end := rest.find(b"\n", searched)) >= 0:
            yield bytes(rest[:end])
            del rest[: end + 1]
            searched = 0
        searched = len(rest)
        if searched > MAX_ANSWER:
            raise ValueError(f"a line of more than {MAX_ANSWER // 1024 // 1024} MiB")
    if rest:
        yield bytes(rest)


def _decoded(text: bytes) -> dict[str, Any]:
    decoded = nested.loads(text)
    if not isinstance(decoded, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for an answer that makes no sense
    return decoded


def _listed(answer: object, name: str) -> list[Any]:
    found = answer.get(name, []) if isinstance(answer, dict) else []
    return found if isinstance(found, list) else []


def _number(answer: dict[str, Any], name: str) -> int:
    """int64 comes as a string; zero is left out."""
    value = answer.get(name, 0)
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < 25:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
