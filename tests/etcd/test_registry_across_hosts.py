"""Prompt holders of several hosts on a real etcd: wait, raise, leases, fencing, outages; then a whole contention."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from clawtop.clock import Clock, SystemClock
from clawtop.core.session.admission import OnContention
from clawtop.engine.etcd.client import Created, Etcd, EtcdUnreachableError, Put, Range, Revision
from clawtop.engine.etcd.names import shared_name
from clawtop.engine.etcd.records import EtcdRecords
from clawtop.engine.prompt.choice import endpoints_of, registry_choice
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.errors import RefusedError, SessionContendedError, SessionTakeoverError, UsageError
from tests.etcd.server import ETCD, EtcdServer
from tests.support.clocks import ManualClock

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(ETCD is None, reason="needs etcd (Debian: etcd-server)"),
]
LEASE_S = 2


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    """One of its own, for tests that stop or freeze it."""
    own = EtcdServer(tmp_path / "etcd")
    own.start()
    yield own
    own.stop()


@asynccontextmanager
async def engine(
    server: EtcdServer, host: str, tmp_path: Path, *, lease_s: int = LEASE_S, clock: Clock | None = None
) -> AsyncIterator[PromptRegistry]:
    """The registry of an engine on a host: the directory has another path there, and one name on all."""
    clock = clock or SystemClock()
    root = str(tmp_path / host)
    records = EtcdRecords(
        Etcd([server.endpoint], clock),
        f"test-{tmp_path.name}",
        clock,
        name_of=lambda path: shared_name(path, {root: "shared"}, host),
        host=host,
        lease_s=lease_s,
    )
    async with PromptRegistry(tmp_path / host / "state", clock=clock, records=records) as registry:
        yield registry


def session(tmp_path: Path, host: str, name: str = "s1") -> Path:
    path = tmp_path / host / "sessions" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def take(registry: PromptRegistry, path: Path, run: str, on: OnContention = OnContention.RAISE) -> HeldPrompt:
    return await registry.acquire(path, lane="main", run_id=run, on_contention=on)


async def test_a_session_has_one_holder_on_all_hosts(shared_server: EtcdServer, tmp_path: Path) -> None:
    async with engine(shared_server, "a", tmp_path) as a, engine(shared_server, "b", tmp_path) as b:
        holder = await take(a, session(tmp_path, "a"), "run-a")
        await holder.assert_held()
        with pytest.raises(SessionContendedError, match="run-a"):
            await take(b, session(tmp_path, "b"), "run-b")
        seen = await b.holder_of(session(tmp_path, "b"))
        assert seen is not None
        assert (seen.run_id, seen.phase) == ("run-a", "locking")
        other = await take(b, session(tmp_path, "b", "s2"), "run-b")
        await other.release()
        await holder.release()
        assert await b.holder_of(session(tmp_path, "b")) is None


async def test_waiters_are_served_in_order_and_woken_at_once(shared_server: EtcdServer, tmp_path: Path) -> None:
    async with engine(shared_server, "a", tmp_path) as a, engine(shared_server, "b", tmp_path) as b:
        holder = await take(a, session(tmp_path, "a"), "run-0")
        order: list[str] = []

        async def wait(registry: PromptRegistry, host: str, run: str) -> None:
            async with await take(registry, session(tmp_path, host), run, OnContention.WAIT):
                order.append(run)

        async with asyncio.TaskGroup() as tasks:
            for number, (registry, host) in enumerate(((b, "b"), (a, "a"), (b, "b")), 1):
                tasks.create_task(wait(registry, host, f"run-{number}"))
                while True:
                    seen = await a.holder_of(session(tmp_path, "a"))
                    if seen is not None and len(seen.waiters) == number:
                        break
                    await asyncio.sleep(0.01)
            await holder.release()
        assert order == ["run-1", "run-2", "run-3"]


async def test_phases_and_profiles_are_seen_from_the_other_host(shared_server: EtcdServer, tmp_path: Path) -> None:
    async with engine(shared_server, "a", tmp_path) as a, engine(shared_server, "b", tmp_path) as b:
        holder = await a.acquire(session(tmp_path, "a"), lane="main", run_id="run-a", profile="acme:one")
        holder.set_phase("prompting")
        holder.set_phase("streaming")
        async with asyncio.timeout(30):
            while (seen := await b.holder_of(session(tmp_path, "b"))) is None or seen.phase != "streaming":
                await asyncio.sleep(0.01)
        assert seen.profile == "acme:one"
        await holder.release()


async def test_a_host_that_is_cut_off_loses_its_session_and_is_told(server: EtcdServer, tmp_path: Path) -> None:
    async with engine(server, "a", tmp_path) as a:
        ended: list[BaseException] = []

        async def run() -> None:
            try:
                async with await take(a, session(tmp_path, "a"), "run-a"):
                    await asyncio.Event().wait()
            except SessionTakeoverError as error:
                ended.append(error)

        running = asyncio.create_task(run())
        async with asyncio.timeout(60):
            while await a.holder_of(session(tmp_path, "a")) is None:
                await asyncio.sleep(0.01)
            server.freeze()
            await running
            assert "lease expired" in str(ended[0])
            with pytest.raises(RefusedError, match="cannot be reached"):
                await take(a, session(tmp_path, "a"), "run-again")
            server.thaw()


async def test_a_restart_of_etcd_loses_no_holder(server: EtcdServer, tmp_path: Path) -> None:
    async with (
        engine(server, "a", tmp_path, lease_s=20) as a,
        engine(server, "b", tmp_path, lease_s=20) as b,
        asyncio.timeout(100),
    ):
        holder = await take(a, session(tmp_path, "a"), "run-a")
        await take(b, session(tmp_path, "b", "other"), "run-b")
        await asyncio.to_thread(server.stop)
        with pytest.raises(SessionTakeoverError, match="it is not known"):
            await holder.assert_held()
        await asyncio.to_thread(server.start)
        await holder.assert_held()
        with pytest.raises(SessionContendedError):
            await take(b, session(tmp_path, "b"), "run-b2")
        await holder.release()
        await (await take(b, session(tmp_path, "b"), "run-b3")).release()


async def test_a_write_by_a_holder_that_lost_its_lease_is_never_acknowledged(
    shared_server: EtcdServer, tmp_path: Path
) -> None:
    """The check says so even while the session has a holder elsewhere; `test_frozen_turns` has whole turns."""
    async with engine(shared_server, "a", tmp_path) as a, engine(shared_server, "b", tmp_path) as b:
        holder = await take(a, session(tmp_path, "a"), "run-a")
        await holder.assert_held()
        records = a._records
        assert isinstance(records, EtcdRecords)
        await records._etcd.revoke(records._lease)
        taken = await take(b, session(tmp_path, "b"), "run-b", OnContention.WAIT)
        with pytest.raises(SessionTakeoverError, match="lease in etcd has expired"):
            await holder.assert_held()
        await holder.release()
        await taken.assert_held()
        await taken.release()


async def test_what_belongs_to_another_program_is_left_alone(shared_server: EtcdServer, tmp_path: Path) -> None:
    async with engine(shared_server, "a", tmp_path) as a:
        await (await take(a, session(tmp_path, "a"), "run-a")).release()
        records = a._records
        assert isinstance(records, EtcdRecords)
        key = records._session_key(str(session(tmp_path, "a").resolve()))
        await records._etcd.commit([], [Put(key, b"not ours")])
        with pytest.raises(RefusedError, match="something other"):
            await take(a, session(tmp_path, "a"), "run-b")
        kept = await records._etcd.read(Range(key, exact=True))
        assert kept[0][0].value == b"not ours"


async def test_an_etcd_that_takes_no_writes_begins_no_run_and_is_named(server: EtcdServer, tmp_path: Path) -> None:
    """As when its disk is full: it reads, and refuses every write."""
    async with engine(server, "a", tmp_path) as a:
        await (await take(a, session(tmp_path, "a"), "run-a")).release()
        await asyncio.to_thread(server.take_no_writes, True)
        with pytest.raises(RefusedError, match="space exceeded"):
            await take(a, session(tmp_path, "a"), "run-b")
        await asyncio.to_thread(server.take_no_writes, False)
        await (await take(a, session(tmp_path, "a"), "run-c")).release()


async def test_an_endpoint_that_is_cut_off_is_passed_over(shared_server: EtcdServer, tmp_path: Path) -> None:
    """One member of the cluster hangs, another refuses: the third is asked, by the same calls."""
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen(0)
        silent = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        etcd = Etcd([silent, "http://127.0.0.1:1", shared_server.endpoint], SystemClock())
        first = await etcd.commit([Revision(b"passed", 0)], [Put(b"passed", b"1")])
        assert first is not None
        assert (await etcd.read(Range(b"passed", exact=True)))[0][0].value == b"1"
        await etcd.aclose()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>proxy</html>"),
        (200, b"[]"),
        (200, b'{"responses": "none"}'),
        (200, b'{"responses": [5]}'),
        (200, b'{"responses": [null]}'),
        (200, b'{"responses": [{"response_range": {"kvs": [{"key": "%%%"}]}}]}'),
        (200, b"[" * 100_000),
        (200, b'{"pad": "' + b"y" * 9_000_000 + b'"}'),
        (404, b"{}"),
        (503, b"{}"),
        (302, b""),
    ],
)
async def test_answers_that_are_not_etcds_are_an_error_that_names_the_endpoint(status: int, body: bytes) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, content=body))
    etcd = Etcd(["http://elsewhere:2379"], SystemClock(), transport=transport)
    with pytest.raises(EtcdUnreachableError) as caught:
        await etcd.read(Range(b"k", exact=True))
    assert "etcd" in caught.value.title
    assert len(caught.value.title) < 400
    await etcd.aclose()


async def test_an_etcd_that_is_slow_is_waited_for_within_its_deadline(
    shared_server: EtcdServer, tmp_path: Path
) -> None:
    """Every answer takes a while: slower than usual is no outage."""
    real = httpx.AsyncHTTPTransport()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.2)
            return await real.handle_async_request(request)

    records = EtcdRecords(
        Etcd([shared_server.endpoint], SystemClock(), transport=Slow()),
        f"slow-{tmp_path.name}",
        SystemClock(),
        name_of=lambda path: path,
        host="a",
        lease_s=10,
    )
    async with PromptRegistry(tmp_path / "a" / "state", clock=SystemClock(), records=records) as registry:
        holder = await take(registry, session(tmp_path, "a"), "run-a")
        await holder.assert_held()
        await holder.release()
    await real.aclose()


async def test_conditions_hold_or_nothing_is_changed(shared_server: EtcdServer) -> None:
    etcd = Etcd([shared_server.endpoint], SystemClock())
    first = await etcd.commit([Revision(b"k", 0)], [Put(b"k", b"1")])
    assert first is not None
    assert await etcd.commit([Revision(b"k", 0)], [Put(b"k", b"2")]) is None
    assert await etcd.commit([Revision(b"k", first), Created(b"k", first)], [Put(b"k", b"3")]) is not None
    (found,) = await etcd.read(Range(b"k", exact=True))
    assert (found[0].value, found[0].created) == (b"3", first)
    await etcd.aclose()


def test_names_agree_where_hosts_share_and_differ_where_they_do_not() -> None:
    here, there = {"/srv/claw": "claw"}, {"/mnt/nfs/claw": "claw"}
    assert shared_name("/srv/claw/a/s.jsonl", here, "m1") == shared_name("/mnt/nfs/claw/a/s.jsonl", there, "m2")
    assert shared_name("/home/x/s.jsonl", {}, "m1") != shared_name("/home/x/s.jsonl", {}, "m2")
    assert shared_name("/srv/clawless/s.jsonl", here, "m1").startswith("m1:")


@pytest.mark.parametrize(
    "url", ["", "etcd://", "http://x:1", "etcd://a@b:1", "etcd://x:1\x1b[31m", "files", "etcd:///prefix"]
)
def test_a_registry_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        registry_choice(url)


def test_a_registry_is_named_by_its_endpoints_and_prefix() -> None:
    assert endpoints_of("etcd://a:2379,b:2379/team/x") == (("http://a:2379", "http://b:2379"), "team/x")
    assert endpoints_of("etcds://a:2379") == (("https://a:2379",), "clawtop")
    assert dict(registry_choice("etcd://a:1", ["/srv/x=claw", " /y=z"]).mounts) == {"/srv/x": "claw", "/y": "z"}
    with pytest.raises(UsageError, match="mounts"):
        registry_choice("etcd://a:1", ["relative=x"])


async def test_an_answer_that_comes_byte_by_byte_ends_at_its_deadline() -> None:
    class Dribble(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await clock.advance(1.0)
                yield b" "

    clock = ManualClock()
    began = clock.monotonic()
    etcd = Etcd(
        ["http://slow:2379"],
        clock,
        transport=httpx.MockTransport(lambda _request: httpx.Response(200, stream=Dribble())),
    )
    with pytest.raises(EtcdUnreachableError):
        await etcd.read(Range(b"k", exact=True))
    assert clock.monotonic() - began < 10
    await etcd.aclose()
