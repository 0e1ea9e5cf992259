"""What a request asks for, looked up: the session, its models and pin, and what OpenClaw keeps about it.

Mutable state: the session lists and run contexts that one driver has read, touched by its event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from clawtop.core.failover import fallback
from clawtop.core.nearest import did_you_mean
from clawtop.core.rotation.pins import Pin
from clawtop.core.session.lanes import session_lane
from clawtop.core.session.turn_request import TurnRequest
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.drive.session_choice import SessionChoice, choose_session, unknown_session
from clawtop.engine.drive.turn import ResolvedRequest
from clawtop.errors import UsageError
from clawtop.store import door
from clawtop.store.place.layout import Layout
from clawtop.store.provider.model_config import ProviderUnknownError
from clawtop.store.sessions.entry import make_sessions_dir, no_directory
from clawtop.store.sessions.lists import NotReadYetError, ReadLists, SessionLists
from clawtop.store.sessions.settings import RunContext, RunContexts
from clawtop.text import safe


class Resolver:
    """Looks up what requests ask for, in one state directory."""

    def __init__(self, resources: DriverResources) -> None:
        self._resources = resources
        self._lists = SessionLists()
        self._contexts = RunContexts()

    async def resolve(self, run_id: str, request: TurnRequest) -> tuple[SessionChoice, ResolvedRequest]:
        """The session of a request, and all that a turn in it needs. Its directory exists afterwards.

        Raises:
            UsageError: there is no such session, agent, model or provider, or the message is empty.
            RefusedError: as `choose_session`.
            OperationFailedError: the session's directory cannot be created.
        """
        choice, context = await self._found(request.session, request.agent)
        if not request.message.strip():
            raise UsageError("the message is empty")
        layout = self._resources.layout
        if choice.row is None and not request.may_create and not choice.file.exists():
            raise await asyncio.to_thread(unknown_session, layout, request.session, request.agent)
        asked = self._resolved(run_id, choice, context, request)
        if not layout.storage.session_files:
            _make_own_place(choice)
        elif choice.row is None:
            make_sessions_dir(choice.agent.sessions_dir)
        return choice, asked

    async def _found(self, session: str, agent: str | None) -> tuple[SessionChoice, RunContext]:
        """A session, and what OpenClaw sent in its last run: immediately if neither must be read."""
        try:
            choice = choose_session(self._resources.layout, session, agent, ReadLists(self._lists))
        except NotReadYetError:
            choice = await asyncio.to_thread(choose_session, self._resources.layout, session, agent, self._lists)
        file = str(choice.file)
        context = self._contexts.known(file)
        return choice, context if context is not None else await asyncio.to_thread(self._contexts.of, file)

    def _resolved(
        self, run_id: str, choice: SessionChoice, context: RunContext, request: TurnRequest
    ) -> ResolvedRequest:
        configured = choice.agent.models
        primary, fallbacks = (configured[0], configured[1:]) if configured else (None, ())
        models = fallback.candidates(request.model or choice.settings.model, fallbacks=fallbacks, primary=primary)
        if not models:
            unread = "".join(f": {safe(each.where)} {each.text}" for each in self._resources.layout.config.problems[:1])
            raise UsageError(
                f"agent {safe(choice.agent.id, 60)} has no model{unread}",
                hint="name one with --model PROVIDER/MODEL, or set agents.defaults.model in openclaw.json",
            )
        if request.model is not None:
            self._check_provider(choice.agent.id, request.model.provider)
        row = choice.row
        pin = Pin(row.profile, row.profile_source, row.profile_compaction_count) if row is not None else Pin()
        return ResolvedRequest(
            run_id=run_id,
            agent=choice.agent.id,
            session_file=choice.file,
            session_id=choice.session_id,
            session_key=choice.key,
            lane=request.lane or session_lane(choice.key or choice.session_id),
            message=request.message,
            models=models,
            pin=pin,
            on_contention=request.on_contention,
            compaction_count=(row.compaction_count if row is not None else None) or 0,
            new_session=row is None,
            cwd=_workspace(self._resources.layout, choice),
            system=request.system,
            settings=choice.settings,
            context=context,
        )

    def _check_provider(self, agent: str, name: str) -> None:
        """Whether the provider that the operator named has an address. Raises UsageError: no other is asked instead."""
        try:
            self._resources.provider(agent, name)
        except ProviderUnknownError as error:
            known = {profile.provider for profile in self._resources.auth(agent).profiles}
            near = did_you_mean(name, known)
            raise UsageError(f"{error.title}{near}", hint=error.hint, unchanged=error.unchanged) from None


def _make_own_place(choice: SessionChoice) -> None:
    """The directory of clawtop's own transcripts. Raises OperationFailedError."""
    directory = choice.file.parent
    try:
        door.own_directory(directory.parent.parent, directory.parent, directory)
    except OSError as error:
        raise no_directory(directory, error) from error


def _workspace(layout: Layout, choice: SessionChoice) -> str:
    """The workspace that OpenClaw would name in a new transcript."""
    agents: Any = (layout.config.raw or {}).get("agents")
    sections = agents if isinstance(agents, Mapping) else {}
    listed = sections.get("list")
    own = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    entries = [item for item in own if item.get("id") == choice.agent.id] + [sections.get("defaults")]
    named = (item.get("workspace") for item in entries if isinstance(item, Mapping))
    return next((name for name in named if isinstance(name, str) and name), str(layout.state_dir / "workspace"))
