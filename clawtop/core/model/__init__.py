"""The nouns: frozen values passed from the disk to decisions and to the screen.

Times are integer milliseconds since the epoch unless a name says otherwise; `None` means unknown or absent. No
value here holds a secret. Ids and paths are exact; code that shows them passes them through `clawtop.text.safe`.
"""

from clawtop.core.generations import Generation
from clawtop.core.model.auth import (
    NO_COUNTS,
    SHARED,
    AuthPart,
    AuthStore,
    Credential,
    CredentialState,
    Profile,
    ProviderTime,
    UsageStats,
    WindowKind,
)
from clawtop.core.model.config import (
    AgentInfo,
    Attention,
    AuthConfig,
    ConfigProfile,
    ConfigSummary,
    CooldownConfig,
    LockLimits,
    ModelRef,
)
from clawtop.core.model.events import Event, EventKind
from clawtop.core.model.gateway import (
    Gateway,
    GatewayHealth,
    GatewayState,
    GatewayWords,
    ProcessCondition,
    ProcessUsage,
    RunSight,
    Serving,
    TaskSight,
)
from clawtop.core.model.locks import (
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    OpenClawVerdict,
    ProcessEvidence,
    Verdict,
    VerdictKind,
)
from clawtop.core.model.problem import EMPTY_KEY, NOT_IMPORTED, FailureReason, Problem, timed_problem
from clawtop.core.model.prompts import LaneStats, PromptHolder, Waiter
from clawtop.core.model.sentence import (
    Moment,
    Named,
    Naming,
    Sentence,
    agent_named,
    counted,
    joined,
    plain_text,
    session_named,
)
from clawtop.core.model.sessions import EndedTurn, Exchange, Session, Suspension, TurnOutcome
from clawtop.core.model.snapshot import Snapshot
from clawtop.core.model.witness import AccountRetry, Witness, WitnessKind

__all__ = [
    "EMPTY_KEY",
    "NOT_IMPORTED",
    "NO_COUNTS",
    "SHARED",
    "AccountRetry",
    "AgentInfo",
    "Attention",
    "AuthConfig",
    "AuthPart",
    "AuthStore",
    "ConfigProfile",
    "ConfigSummary",
    "CooldownConfig",
    "Credential",
    "CredentialState",
    "EndedTurn",
    "Event",
    "EventKind",
    "Exchange",
    "FailureReason",
    "Gateway",
    "GatewayHealth",
    "GatewayState",
    "GatewayWords",
    "Generation",
    "LaneStats",
    "Lock",
    "LockFile",
    "LockIdentity",
    "LockKind",
    "LockLimits",
    "ModelRef",
    "Moment",
    "Named",
    "Naming",
    "OpenClawVerdict",
    "Problem",
    "ProcessCondition",
    "ProcessEvidence",
    "ProcessUsage",
    "Profile",
    "PromptHolder",
    "ProviderTime",
    "RunSight",
    "Sentence",
    "Serving",
    "Session",
    "Snapshot",
    "Suspension",
    "TaskSight",
    "TurnOutcome",
    "UsageStats",
    "Verdict",
    "VerdictKind",
    "Waiter",
    "WindowKind",
    "Witness",
    "WitnessKind",
    "agent_named",
    "counted",
    "joined",
    "plain_text",
    "session_named",
    "timed_problem",
]
