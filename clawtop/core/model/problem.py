"""Why something failed or is wrong."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from enum import StrEnum

from clawtop.core.model.sentence import Sentence, plain_text
from clawtop.values import dataclass

AGENTS_UNREAD = "agents-unread"
"""Problem code: something else is where the directory of agents belongs."""

BLOCKED = "blocked"
"""Problem code: a file cannot exist, because a dangling link or something that is no directory is in its place or above
it.
"""

OTHER_OWNER = "other-owner"
"""Problem of a file of the state that belongs to another user than the directory: it may not be OpenClaw's at all."""

EMPTY_KEY, NOT_IMPORTED = "empty-key", "doctor-pending"
"""Problems of credentials that OpenClaw has not imported into its database: its gateway goes on without them (2026.6,
2026.7), or does not start (2026.8 on).
"""


_OF_IT = frozenset({"is", "has", "holds", "did", "cannot"})


def said_of_it(text: str, where: str = "") -> str:
    """A problem's text where nothing before it names the file: "is damaged" becomes "openclaw.sqlite is damaged", or
    "it is damaged" if no `where` is given.
    """
    if text.partition(" ")[0] not in _OF_IT:
        return text
    return f"{where.rpartition('/')[2] or 'it'} {text}"


class FailureReason(StrEnum):
    """Why an attempt failed, in OpenClaw's words (2026.5.20; TLS_CERTIFICATE and CONTEXT_OVERFLOW are 2026.9.6's).

    NETWORK and MODERATION are clawtop's own: no connection or a broken one, and a refusal of the content.
    """

    AUTH = "auth"
    AUTH_PERMANENT = "auth_permanent"
    FORMAT = "format"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    BILLING = "billing"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    MODEL_NOT_FOUND = "model_not_found"
    SESSION_EXPIRED = "session_expired"
    EMPTY_RESPONSE = "empty_response"
    NO_ERROR_DETAILS = "no_error_details"
    UNCLASSIFIED = "unclassified"
    UNKNOWN = "unknown"
    TLS_CERTIFICATE = "tls_certificate"
    CONTEXT_OVERFLOW = "context_overflow"
    NETWORK = "network"
    MODERATION = "moderation"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong that has a name: `code` is stable kebab-case, `where` a path or id, `text` a sentence.

    Attributes:
        timed: the same sentence with its times as values; empty where it names none.
        agent: the one agent that it is about; None if it is about several, about none, or if that is not known.
    """

    code: str
    where: str
    text: str
    timed: Sentence = ""
    agent: str | None = None

    def of(self, agent: str | None) -> Problem:
        """The same problem as one of this agent, unless it already names an agent."""
        return self if agent is None or self.agent is not None else replace(self, agent=agent)

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


def of_agents(problems: Iterable[Problem], agents: Container[str]) -> tuple[Problem, ...]:
    """The problems of these agents, and those that name no agent."""
    return tuple(problem for problem in problems if problem.agent is None or problem.agent in agents)


def timed_problem(code: str, where: str, sentence: Sentence) -> Problem:
    """A problem whose sentence may name times."""
    return Problem(code, where, plain_text(sentence), "" if isinstance(sentence, str) else sentence)
