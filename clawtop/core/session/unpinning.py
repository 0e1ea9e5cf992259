"""Removing an auth profile's pin from a session: the chat command for it, and what to do where there is none.

Only the chat command `/model` sets, moves and removes a pin without ending the session. 2026.5 and 2026.6 remove it
with any choice of a model; from 2026.8 on it stays while the model's provider stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import ModelRef, Session
from clawtop.core.rules import Remote

TO_DEFAULT = "/model default"


def unpin_messages(session: Session, models: Iterable[ModelRef], remote: Remote) -> tuple[str, ...]:
    """What to send to the session, in order; empty where no message takes the pin off.

    Args:
        models: the models that its agent may use.
    """
    if session.profile is None:
        return ()
    if remote.model_clears_pin:
        return (TO_DEFAULT,)
    own = session.profile.partition(":")[0]
    other = next((model for model in models if model.provider not in {own, session.provider}), None)
    return () if other is None else (f"/model {other}", TO_DEFAULT)


def words_to_type(session: Session, models: Iterable[ModelRef], remote: Remote) -> str:
    """What an operator can do in the session's own chat."""
    messages = unpin_messages(session, models, remote)
    if messages:
        return f"in the session's chat: {', then '.join(messages)}"
    model = f"{session.provider}/{session.model}" if session.provider and session.model else "PROVIDER/MODEL"
    return f"it can only be changed, in the session's chat: /model {model}@OTHER-PROFILE"
