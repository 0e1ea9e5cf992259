"""What the caller of a turn asks for: the one value that screens, verbs, other hosts and programs pass to an engine."""

from __future__ import annotations

from clawtop.core.model import ModelRef
from clawtop.core.session.admission import OnContention
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One message to one session.

    Attributes:
        session: a key, or a transcript's file (`engine.drive.session_choice.choose_session`).
        agent: whose session it is; None: the key says it, else the default agent.
        lane: whose turn it is ("heartbeat", "channel", "cron" ...), for the lanes and for people.
        model: the model to ask first; None: the session's, else the agent's.
        timeout_s: seconds for the whole turn, waiting included; None: `agents.defaults.timeoutSeconds`, else 600.
        wait_for_account_s: seconds to wait for the first account to return, where all of them cool; beside `timeout_s`.
        system: a system prompt, in place of the one that OpenClaw sent in the session's last run.
        may_create: a key that is not listed makes a session; else it is an error.
        run_id: names the run, where the caller has a name for it that no other run had.
    """

    session: str
    message: str
    agent: str | None = None
    lane: str | None = None
    model: ModelRef | None = None
    on_contention: OnContention = OnContention.WAIT
    timeout_s: float | None = None
    wait_for_account_s: float | None = None
    system: str | None = None
    may_create: bool = True
    run_id: str | None = None
