"""Operations on a host: the far clawtop's own verbs, pinned by plan and id, and looked up after a lost connection."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from clawtop.clock import Clock
from clawtop.core.operations.outcome import OperationOutcome
from clawtop.errors import ClawtopError, LockNotObtainedError, OperationFailedError, RefusedError
from clawtop.fleet.protocol import ProtocolError, decode, is_whole
from clawtop.fleet.transport import Connect, HostSpec
from clawtop.nested import mapping
from clawtop.redaction import masked
from clawtop.text import shown
from clawtop.values import dataclass

ANSWER_S = 60.0
"""How long a far verb may take: its waits for locks and for the gateway are shorter."""

SEARCH_S = 60.0
"""How long a result is looked for after the connection was lost during an operation."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
_ERRORS: dict[int, type[ClawtopError]] = {1: RefusedError, 2: LockNotObtainedError}


@dataclass(frozen=True, slots=True)
class FarPlan:
    """A plan that a host made: `words` are the verb that makes it, `plan` is what it showed (`--dry-run --json`)."""

    words: tuple[str, ...]
    plan: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return str(self.plan.get("plan_id", self.plan.get("fingerprint", "")))  # an older clawtop has only the second


@dataclass(frozen=True, slots=True)
class FarReceipt:
    """What a host did. `found`: the connection was lost, and the host's journal supplied it afterwards."""

    id: str
    receipt: dict[str, Any]
    exit_code: int
    found: bool = False


@dataclass(frozen=True, slots=True)
class JournalWord:
    """What a host's journal says about an operation. `at`: ms since the epoch; `data`: of its last event."""

    outcome: OperationOutcome
    text: str
    at: int | None
    data: Mapping[str, Any]


def journal_word(answer: Mapping[str, Any]) -> JournalWord:
    """The answer of `clawtop receipt`."""
    outcome = next((one for one in OperationOutcome if one.value == answer.get("outcome")), OperationOutcome.UNKNOWN)
    facts = mapping(answer.get("operation"))
    at = facts.get("at")
    return JournalWord(
        outcome, shown(facts.get("text", ""), 300), at if is_whole(at) else None, mapping(facts.get("data"))
    )


class LostError(Exception):
    """The far command ended without an answer."""


class RemoteOperations:
    """Plans and executes on one host. Each call is a separate command; no state is kept except the host's name."""

    def __init__(self, spec: HostSpec, connect: Connect, clock: Clock, *, who: str) -> None:
        """`who`: user and machine, for the host's journal."""
        self._spec = spec
        self._connect = connect
        self._clock = clock
        self._who = who

    async def plan(self, words: Sequence[str]) -> FarPlan:
        """What `clawtop WORDS` would do there. Raises what the host refuses with; OperationFailedError when lost."""
        try:
            answer = await self.ask((*words, "--dry-run", "--json"))
        except LostError as error:
            raise self._unreached(error, "nothing was changed") from error
        plan = answer.get("plan")
        if not isinstance(plan, dict):
            raise OperationFailedError(f"{self._spec.name} answered without a plan", unchanged="nothing was changed")
        return FarPlan(tuple(words), plan)

    async def execute(self, plan: FarPlan, reason: str = "") -> FarReceipt:
        """Do exactly what the plan showed, once.

        Raises:
            RefusedError, LockNotObtainedError, OperationFailedError: as the host says; also if the connection was lost
            and the host's journal shows that nothing was done, or cannot be read any more.
        """
        operation_id = f"fleet-{secrets.token_hex(8)}"
        why = masked(f"{reason} (from {self._who})".strip())  # every user of both machines can read a command line
        pins = ("--plan", plan.fingerprint, "--operation-id", operation_id, "--reason", why)
        try:
            answer = await self.ask((*plan.words, "--yes", "--json", *pins))
        except LostError as error:
            return await self._search(operation_id, error)
        receipt = answer.get("receipt")
        if not isinstance(receipt, dict):
            return await self._search(operation_id, LostError("it answers without a receipt"))
        code = answer.get("exit_code")
        return FarReceipt(operation_id, receipt, code if isinstance(code, int) else 0)

    async def _search(self, operation_id: str, lost: LostError) -> FarReceipt:
        """The result of an operation whose answer did not arrive, from the host's journal.

        If it has not started it is withdrawn first: a far command that is still running could begin it later.
        """
        name = self._spec.name
        found: JournalWord | None = None
        async for _ in searches(self._clock):
            try:
                answer = await self.ask(("receipt", operation_id, "--withdraw", "--json"), errors=False)
            except LostError as error:
                lost, found = error, None
            else:
                found = journal_word(answer)
            if found is not None and found.outcome is OperationOutcome.DONE:
                return FarReceipt(operation_id, {**found.data, "at": found.at}, 0, found=True)
            if found is not None and found.outcome is OperationOutcome.FAILED:
                raise OperationFailedError(
                    f"{name}: not done: {shown(found.data.get('why', ''), 200)}", unchanged="nothing was changed"
                )
        begun = found is not None and found.outcome is OperationOutcome.BEGUN
        words = "it was started, and its outcome is not known" if begun else str(lost)
        raise lost_connection(name, operation_id, words, unchanged="whether it was done is not known")

    def _unreached(self, error: LostError, unchanged: str) -> OperationFailedError:
        return OperationFailedError(f"{self._spec.name} does not answer: {shown(error, 200)}", unchanged=unchanged)

    async def ask(self, words: Sequence[str], *, errors: bool = True) -> dict[str, Any]:
        """The JSON object that a far verb prints. Raises LostError; what it refuses with, if `errors`."""
        try:
            pipe = await self._connect(self._spec, words)
        except OSError as error:
            raise LostError(error.strerror or str(error)) from error
        answer: dict[str, Any] | None = None
        trouble = ""
        try:
            async with self._clock.timeout(ANSWER_S):
                while line := await pipe.read_line():
                    if line.lstrip().startswith(b"{"):
                        answer = decode(line)
        except (TimeoutError, ProtocolError) as error:
            answer, trouble = None, str(error) or "no answer in time"
        finally:
            code, said = await pipe.close()
        if answer is None:
            raise LostError(trouble or said.strip().rpartition("\n")[2] or f"exit {code}")
        if errors and isinstance(answer.get("error"), dict):
            raise refusal(self._spec.name, answer)
        return answer


def refusal(host: str, answer: Mapping[str, Any]) -> ClawtopError:
    """The error that a far verb answered with."""
    told, code = answer["error"], answer.get("exit_code")
    kind = _ERRORS.get(code if isinstance(code, int) else 3, OperationFailedError)
    return told_error(host, told, kind)


def told_error(host: str, told: Mapping[str, Any], kind: type[ClawtopError]) -> ClawtopError:
    """An error of a host in its own words."""
    title, hint, unchanged = (shown(told.get(part, ""), 400) for part in ("title", "hint", "unchanged"))
    return kind(f"{host}: {title}", hint=hint, unchanged=unchanged)


async def searches(clock: Clock) -> AsyncIterator[None]:
    """One item for each look into a host's journal, with growing pauses between them, for `SEARCH_S`."""
    until, pause = clock.monotonic() + SEARCH_S, FIRST_PAUSE_S
    while True:
        yield
        if clock.monotonic() + pause > until:
            return
        await clock.sleep(pause)
        pause = min(LONGEST_PAUSE_S, pause * 2)


def lost_connection(host: str, operation_id: str, words: str, *, during: str = "", unchanged: str) -> ClawtopError:
    """The error where a connection was lost, and the journal there does not say what became of the operation."""
    what = f" during {during}" if during else ""
    return OperationFailedError(
        f"the connection to {host} was lost{what}: {shown(words, 200)}",
        unchanged=unchanged,
        hint=f"on {host}: clawtop receipt {operation_id}",
    )
