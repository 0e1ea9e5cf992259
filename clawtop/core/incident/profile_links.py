"""Why auth profiles cannot serve: the links of blocking trees that end in accounts."""

from __future__ import annotations

from clawtop.core.cooldown.fixes import needed_fix
from clawtop.core.cooldown.stats import ProfileState, Schedules, profile_state
from clawtop.core.incident.node import Node, NodeKind, Severity
from clawtop.core.model import AgentInfo, Profile, joined
from clawtop.core.operations.loaded import GatewaysView, Pending
from clawtop.text import safe, shown

_CLEARABLE = (ProfileState.COOLING, ProfileState.DISABLED, ProfileState.BLOCKED)


class ProfileLinks:
    """The links to the profiles of one snapshot. No link: the profile can serve."""

    def __init__(self, view: GatewaysView, now: int) -> None:
        self._view = view
        self._now = now
        self._schedules = Schedules(view.snapshot)
        self._states: dict[tuple[str, str, str | None], tuple[ProfileState, int | None]] = {}
        self._pins: dict[tuple[str, str, str | None, str | None], Node | None] = {}

    def pinned(self, profile: Profile, model: str | None, source: str | None) -> Node | None:
        """A session's pin to a profile that cannot serve it: the same link for all sessions with that pin."""
        key = (profile.owner_agent, profile.id, model, source)
        if key not in self._pins:
            node = self.why_not(profile, model)
            who = f"pinned by {safe(source or 'OpenClaw', 20)}: "
            pin = node._replace(label=joined(who, node.label), how="sessions.json") if node is not None else None
            self._pins[key] = pin
        return self._pins[key]

    def _state(self, profile: Profile, model: str | None) -> tuple[ProfileState, int | None]:
        key = (profile.owner_agent, profile.id, model)
        if key not in self._states:
            self._states[key] = profile_state(profile, self._now, self._schedules[profile.provider], model)
        return self._states[key]

    def why_not(self, profile: Profile, model: str | None) -> Node | None:
        """Why a profile cannot serve a model (None: any); None when it can."""
        state, until = self._state(profile, model)
        if state is ProfileState.USABLE:
            return None
        mending = needed_fix(profile.stats, self._now, self._schedules[profile.provider])
        reason = profile.stats.disabled_reason if state is ProfileState.DISABLED else profile.stats.cooldown_reason
        pending = self._view.concerning(profile)
        advice = mending.advice if mending is not None else None
        return Node(
            NodeKind.PROFILE,
            profile.id,
            f"{safe(profile.id, 60)} is {state}"
            + (f" ({shown(reason, 30)})" if reason else "")
            + (" for the gateway" if pending is not None else ""),
            "auth store",
            Severity.BLOCKED if until is not None else Severity.STUCK,
            profile.owner_agent,
            since=profile.stats.last_failure_at,
            until=until,
            remedy="clear" if state in _CLEARABLE and mending is None and pending is None else None,
            advice=loaded_by(pending) if pending is not None else advice,
        )

    def all_out(self, agent: AgentInfo, provider: str, model: str | None) -> tuple[Node, ...] | None:
        """Why each profile of a provider cannot serve a model; None when one can."""
        store = agent.store
        found = [profile for profile in (store.profiles if store else ()) if profile.provider == provider]
        nodes = [self.why_not(profile, model) for profile in found]
        if any(node is None for node in nodes):
            return None
        return tuple(node for node in nodes if node is not None)


def loaded_by(pending: Pending) -> str:
    """What makes the gateway load a change."""
    return "secrets reload" if pending.reload else "restart"
