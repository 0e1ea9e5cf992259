"""What the verbs that call providers share: building the engine from options, exit codes, the operator's files."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli.drive_output import TurnOutput
from clawtop.cli.output_file import why_no_file
from clawtop.errors import ClawtopError, UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import ModelRef
    from clawtop.core.session.turn_request import TurnRequest
    from clawtop.engine.drive.driver import Driver


def open_driver(args: argparse.Namespace, output: TurnOutput) -> Driver:
    """The engine for these options."""
    from clawtop.cli.common import registry_of
    from clawtop.core.failover.decision import TimeoutPolicy
    from clawtop.engine.drive.driver import Driver, EngineSettings

    settings = EngineSettings(timeouts=TimeoutPolicy(args.on_timeout), registry=registry_of(args))
    return Driver(args.state_dir, settings=settings, listen=output.event)


def turn_request(args: argparse.Namespace, session: str, message: str, *, model: ModelRef | None) -> TurnRequest:
    """A turn with these options."""
    from clawtop.core.session.admission import OnContention
    from clawtop.core.session.turn_request import TurnRequest

    return TurnRequest(
        session,
        message,
        agent=args.agent,
        lane=args.lane,
        model=model,
        on_contention=OnContention(args.on_contention),
        timeout_s=args.timeout,
        wait_for_account_s=args.wait_for_account,
    )


def exit_code(error: ClawtopError) -> int:
    """The exit code for what ended a turn; the table in the help."""
    from clawtop.cli.drive_output import REFUSED_EXIT, TOOLS_EXIT
    from clawtop.core.model import FailureReason
    from clawtop.engine.providers.errors import ErrorKind, ProviderError
    from clawtop.errors import CoordinationError, SessionContendedError

    if isinstance(error, ProviderError):
        if error.kind is ErrorKind.TOOLS:
            return TOOLS_EXIT
        if error.reason is FailureReason.MODERATION:
            return REFUSED_EXIT
        return 6 if error.timed_out else 5
    if isinstance(error, SessionContendedError):
        return 1
    return 2 if isinstance(error, CoordinationError) else error.exit_code


def cancel_on_signals(signalled: Callable[[int], None]) -> None:
    """SIGTERM and SIGHUP end the turn like Ctrl-C: everything is released, marks land or are spooled."""
    task = asyncio.current_task()

    def cancel(number: int) -> None:
        signalled(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        threads.on_signal(number, cancel, number)


def read_system(path: str | None) -> str | None:
    """The system prompt in a file that the operator named."""
    if path is None:
        return None
    from clawtop.store import door

    try:
        return door.read(path, 4 * 1024 * 1024, follow=door.Follow.OPERATOR).data.decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"the system prompt {safe(path)} cannot be read: {error.strerror or error}") from None


def check_out(path: str | None) -> None:
    """Check before anything is sent that the reply can be written to this file. Raises UsageError."""
    why = "" if path is None else why_no_file(path)
    if why:
        raise UsageError(f"the reply could not be written: {why}", unchanged="nothing was sent")


def model_named(text: object) -> ModelRef | None:
    """The model that an option or a batch line names."""
    from clawtop.core.model import ModelRef

    if text is None:
        return None
    provider, slash, model = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not (provider and slash and model):
        raise UsageError(f"--model {safe(text, 80)} is not PROVIDER/MODEL")
    return ModelRef(provider, model)
