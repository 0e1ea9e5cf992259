"""`clawtop`, and `python -m clawtop`."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # nothing is imported outside of `main`, where Ctrl-C ends in a line instead of a traceback
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; the exit code says how it went."""
    code = 70
    gc.disable()  # until it is known what to do: nothing that is loaded to start is garbage
    try:
        code = _run()
    except KeyboardInterrupt:
        code = 130
        _say("interrupted")
    except BaseException as error:  # noqa: BLE001 - what keeps clawtop from starting is said in one line, too
        _say(f"cannot start: {type(error).__name__}")
    from clawtop.cli.ending import leave

    leave(code)


def _run() -> int:
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a KeyboardInterrupt in a callback of the import system is lost
    from clawtop.cli import process

    refused = process.prepared()
    if refused is not None:
        return refused
    try:
        from clawtop.cli.main import run

        return run(sys.argv[1:])
    except KeyboardInterrupt as error:
        return process.said_goodbye(error)
    except Exception as error:  # noqa: BLE001 - as above
        if (interrupt := process.interruption(error)) is not None:
            return process.said_goodbye(interrupt)
        from clawtop.crash import unexpected

        found = unexpected(error, "starting")
        _say(str(found))
        return found.exit_code


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"clawtop: {text}\n")


if __name__ == "__main__":
    main()
