"""One attempt: take the prompt and the lock, ask the provider once, append the reply, release everything.

Everything is released at the end of the attempt, however it ends, so the session is free between two attempts and
during a backoff (thread 62351). The lock is released for the provider call and the fence asserted before anything is
written (thread 83510). The user's message and the reply are appended together: an attempt that fails leaves no line
behind, and a turn that moves on to another profile sends what is then in the transcript.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from clawtop.clock import Timer
from clawtop.core.model import EventKind, ModelRef, Profile
from clawtop.engine.drive.prompting import prepare
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.drive.turn import DrivenTurn, TurnAnswer
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.providers.base import Endpoint, Finished, Prompt, SilentProgress
from clawtop.engine.providers.errors import ErrorKind, ProviderError, not_the_protocol
from clawtop.errors import ClawtopError, SessionTakeoverError
from clawtop.store.provider.secrets import SecretUnavailableError
from clawtop.store.sessions.conversation import Conversation, continued, size_of
from clawtop.store.sessions.transcript_write import EntryChain, TranscriptReply, append, header
from clawtop.values import dataclass

if TYPE_CHECKING:
    from clawtop.engine.providers.http import ProviderClient

PHASE_TOLD_S = 0.1
"""A shorter phase is not written to the registry's record, to save writes."""

STORED_STOPS = {"toolUse": "stop", "filter": "stop", "refusal": "stop"}
"""Transcripts have no refusals, and a `toolUse` without its calls would look like an unfinished turn."""

READ_INLINE_BYTES = 64 * 1024
"""Larger transcripts are parsed in a thread."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a turn: ask `model` with the credential of `profile` (None: the provider's own key, or none)."""

    resources: DriverResources
    turn: DrivenTurn
    model: ModelRef
    profile: Profile | None

    async def run(self) -> TurnAnswer:
        """The answer, appended to the transcript.

        Raises:
            ProviderError: the provider, the connection or the credential failed; nothing was written.
            CoordinationError: another run has the session; nothing was written.
            TurnTimeoutError: the turn's time was over.
            OperationFailedError: the transcript cannot be written.
        """
        endpoint = self._endpoint()
        client = await self.resources.client()
        endpoint = await self.resources.ready(endpoint, client)
        self.turn.enter("locking")
        async with await self._acquired() as holder:
            try:
                return await self._locked(client, endpoint, holder)
            except SessionTakeoverError as error:
                self.resources.lanes.note_takeover(self.turn.asked.lane)
                where = str(holder.session_file)
                self.turn.teller.tell(EventKind.TAKEOVER, error.title, model=self.model, session_file=where)
                raise
            finally:
                self.turn.enter("releasing")

    async def _acquired(self) -> HeldPrompt:
        turn, asked = self.turn, self.turn.asked
        turn.left_s()
        await self.resources.foreign.look(turn.session_file)
        holder = await self.resources.registry.acquire(
            turn.session_file,
            session_key=asked.session_key,
            agent=asked.agent,
            lane=asked.lane,
            run_id=asked.run_id,
            on_contention=asked.on_contention,
            deadline=turn.deadline,
            foreign=self.resources.foreign.holder,
            profile=self.profile.id if self.profile else None,
        )
        if holder.forked_from is not None:
            turn.forked_from = turn.forked_from or holder.forked_from
            turn.session_file, turn.session_id = holder.session_file, holder.session_file.stem
        return holder

    async def _locked(self, client: ProviderClient, endpoint: Endpoint, holder: HeldPrompt) -> TurnAnswer:
        turn = self.turn
        async with await self.resources.open_lock(turn) as lock:
            conversation = await self._conversation()
            await holder.assert_held()
            await lock.release_for_prompt()
            turn.enter("prompting")
            sent_at = self.resources.clock.now_ms()
            text, end = await self._ask(client, endpoint, conversation, holder)
            turn.enter("appending")
            try:
                async with lock.write() as window:
                    await holder.assert_held()
                    if window.accepted:
                        conversation = await self._conversation()
                        await holder.assert_held()
                    written = self._append(endpoint, text, end, conversation, sent_at)
                    turn.stored = answer = self._answer(text, end)
                    await holder.confirm(written)
            except ClawtopError:
                turn.unstored = "" if holder.written else text
                raise
        return answer

    def _answer(self, text: str, end: Finished) -> TurnAnswer:
        turn = self.turn
        return TurnAnswer(
            text=text,
            model=self.model,
            profile=self.profile.id if self.profile else None,
            usage=end.usage,
            stop_reason=end.stop_reason,
            tool_calls=end.tool_calls,
            filtered=end.filtered,
            cost=self._cost(end),
            session_file=turn.session_file,
            session_id=turn.session_id,
            forked_from=turn.forked_from,
            attempts=turn.requests,
            duration_ms=turn.elapsed_ms(),
        )

    async def _ask(
        self, client: ProviderClient, endpoint: Endpoint, conversation: Conversation, holder: HeldPrompt
    ) -> tuple[str, Finished]:
        resources, turn, model = self.resources, self.turn, self.model
        prompt = self._prompt(conversation)
        timeouts = resources.timeouts(turn.asked.agent, model, turn.left_s())
        turn.requests += 1
        name = self.profile.id if self.profile else None
        how = f" with {name}" if name else ""
        number = {"number": turn.requests}
        turn.teller.tell(EventKind.ATTEMPT, f"asks {model}{how}", model=model, profile=name, data=number)
        pieces: list[str] = []
        written = self._said_soon(holder)
        try:
            async with aclosing(client.stream(endpoint, prompt, timeouts)) as parts:
                async for part in parts:
                    if isinstance(part, Finished):
                        return "".join(pieces), part
                    if turn.phase != "streaming":
                        turn.enter("streaming")
                        written.cancel()
                        written = self._said_soon(holder)
                    if isinstance(part, SilentProgress):
                        continue
                    pieces.append(part.text)
                    turn.said(part.text)
        finally:
            written.cancel()
        raise not_the_protocol(model.provider, "the reply has no end marker")

    async def _conversation(self) -> Conversation:
        """The transcript's current content; a large one is parsed in a thread."""
        path, kept = self.turn.session_file, self.resources.conversations
        known = kept.at_once(path)
        if known is None:
            large = size_of(path) > READ_INLINE_BYTES
            read, stands = await asyncio.to_thread(kept.read, path) if large else kept.read(path)
            kept.keep(path, read, stands)
            return read
        return known

    def _said_soon(self, holder: HeldPrompt) -> Timer:
        """Write the turn's phase to the registry's record once it has lasted a while."""
        phase = self.turn.phase
        return self.resources.clock.call_later(PHASE_TOLD_S, lambda: holder.set_phase(phase))

    def _prompt(self, conversation: Conversation) -> Prompt:
        """What is sent; what is left out is reported first, once per model."""
        turn, model = self.turn, self.model
        prepared = prepare(conversation.said, turn.asked.message, self.resources.prompt_sources(turn, model))
        if prepared.not_sent and (model, prepared.not_sent) not in turn.left_out:
            turn.left_out.append((model, prepared.not_sent))
            words = "; ".join(prepared.not_sent)
            data = {"not_sent": list(prepared.not_sent), "routine": True}
            turn.teller.tell(EventKind.NOTICE, f"not sent: {words}", model=model, data=data)
        return prepared.prompt

    def _append(self, endpoint: Endpoint, text: str, end: Finished, conversation: Conversation, sent_at: int) -> str:
        """Write the turn, in one append; the session's lock is held. The id of its last line."""
        turn, model = self.turn, self.model
        begun = conversation.session_id is not None or conversation.leaf is not None
        entries = [] if begun else [header(turn.session_id, turn.asked.cwd, sent_at)]
        chain = EntryChain(conversation)
        if conversation.model != (model.provider, model.model):
            entries.append(chain.model_change(model.provider, model.model, sent_at))
        reply = TranscriptReply(
            text=text,
            api=endpoint.api,
            provider=model.provider,
            model=model.model,
            stop_reason=STORED_STOPS.get(end.stop_reason, end.stop_reason),
            input=end.usage.input,
            output=end.usage.output,
            cache_read=end.usage.cache_read,
            cache_write=end.usage.cache_write,
            response_id=end.response_id,
            cost=self._cost(end),
        )
        entries += [chain.user(turn.asked.message, sent_at), chain.assistant(reply, self.resources.clock.now_ms())]
        stands = append(turn.session_file, entries, after_half_line=conversation.unfinished)
        self.resources.conversations.keep(turn.session_file, continued(conversation, entries), stands)
        return str(entries[-1]["id"])

    def _cost(self, end: Finished) -> dict[str, float]:
        usage = end.usage
        counts = {
            "input": usage.input,
            "output": usage.output,
            "cacheRead": usage.cache_read,
            "cacheWrite": usage.cache_write,
        }
        return self.resources.provider(self.turn.asked.agent, self.model.provider).cost_of(self.model.model, counts)

    def _endpoint(self) -> Endpoint:
        try:
            return self.resources.endpoint(self.turn.asked.agent, self.model, self.profile)
        except SecretUnavailableError as error:
            raise ProviderError(
                ErrorKind.CREDENTIAL,
                error.title,
                provider=self.model.provider,
                hint=error.hint,
                code="expired" if error.expired else None,
            ) from None
