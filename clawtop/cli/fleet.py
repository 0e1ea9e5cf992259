"""`clawtop fleet status`: several hosts at once, as text or as JSON for scripts."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop.cli import options
from clawtop.errors import OperationFailedError, UsageError
from clawtop.text import safe
from clawtop.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clawtop.clock import Clock
    from clawtop.core.fleet.hosts import Host
    from clawtop.fleet.fleet import Fleet
    from clawtop.fleet.transport import HostSpec

PIPE_WIDTH = 160
WAIT_S = 20.0
MAX_HOSTS_FILE = 256 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "what",
        choices=("status",),
        nargs="?",
        help="print the state of every host and exit; without it, watch them live",
    )
    add_host_arguments(parser)
    options.json(parser)
    parser.add_argument("--check", action="store_true", help="exit with the worst host's level, as status --check")
    parser.add_argument(
        "--wait", metavar="SECONDS", type=float, default=WAIT_S, help="seconds to wait for hosts (default: 20)"
    )


BEFORE_VERB = "before_verb_"


def add_host_arguments(parser: argparse._ActionsContainer, place: str = "") -> None:
    """Add the options that name hosts and how to reach them. `place`: what their destinations begin with."""
    parser.add_argument(
        "--host",
        metavar="H",
        action="append",
        default=[],
        dest=f"{place}host",
        help="a host, as ssh knows it; may be repeated",
    )
    parser.add_argument(
        "--hosts",
        metavar="FILE",
        type=Path,
        dest=f"{place}hosts",
        help="a file with one host per line: NAME [TRANSPORT ...]",
    )
    parser.add_argument(
        "--transport",
        metavar="COMMAND",
        dest=f"{place}transport",
        help="the command to use instead of ssh, such as 'docker exec -i {host}'",
    )


def host_specs(args: argparse.Namespace) -> tuple[HostSpec, ...]:
    """The hosts that the options name, before the verb and after it.

    Raises UsageError; OperationFailedError when a file cannot be read.
    """
    from clawtop.fleet.transport import host_spec

    asked = named_before(args)
    transport = getattr(args, "transport", None) or asked.transport
    specs = [host_spec(line, transport) for line in (*asked.host, *getattr(args, "host", ()))]
    files = [path for path in (asked.hosts, getattr(args, "hosts", None)) if path is not None]
    for path in files:
        specs += _specs_in(path, transport)
    if not specs and not files:
        specs = _specs_in_settings(args.settings["fleet.hosts"], transport)
    if not specs:
        raise UsageError(
            "no hosts given",
            hint="clawtop fleet status --host HOST, or hosts = [...] under [fleet] in the config",
        )
    return tuple(specs)


@dataclass(frozen=True, slots=True)
class NamedHosts:
    """What the three options were given."""

    host: Sequence[str]
    hosts: Path | None
    transport: str | None

    @property
    def option(self) -> str | None:
        """One of them that was given."""
        given = {"--host": self.host, "--hosts": self.hosts, "--transport": self.transport}
        return next((name for name, value in given.items() if value), None)


def named_before(args: argparse.Namespace) -> NamedHosts:
    """What was given before the verb, or without a verb."""
    return NamedHosts(*(getattr(args, BEFORE_VERB + name) for name in ("host", "hosts", "transport")))


def _specs_in_settings(lines: Sequence[str], transport: str | None) -> list[HostSpec]:
    from clawtop.fleet.transport import host_spec

    try:
        return [host_spec(line, transport) for line in lines]
    except UsageError as error:
        raise UsageError(f"hosts in the settings: {error.title}", hint=error.hint) from error


def _specs_in(path: Path, transport: str | None) -> Iterator[HostSpec]:
    from clawtop.fleet.transport import host_spec

    none = True
    for number, line in _lines_of(path):
        none = False
        try:
            yield host_spec(line, transport)
        except UsageError as error:
            raise UsageError(f"line {number} of {safe(path)}: {error.title}", hint=error.hint) from error
    if none:
        raise UsageError(f"the hosts file {safe(path)} names no host", hint="one host per line: NAME [TRANSPORT ...]")


def _lines_of(path: Path) -> Iterator[tuple[int, str]]:
    from clawtop.store import door

    try:
        text = door.read(path, MAX_HOSTS_FILE, follow=door.Follow.OPERATOR).data.decode("utf-8", "replace")
    except OSError as error:
        raise OperationFailedError(
            f"the hosts file {safe(path)} cannot be read: {error.strerror}", unchanged="no host was contacted"
        ) from error
    for number, line in enumerate(text.splitlines(), start=1):
        told = line.partition("#")[0].strip()
        if told:
            yield number, told


def run(args: argparse.Namespace) -> int:
    """Ask every host once. Exit 0, or the worst host's level with `--check`."""
    specs = host_specs(args)
    if args.what is None and not (args.json or args.check):
        return watch(args, specs)
    return _shown(_asked(specs, args.wait), args)


def watch(args: argparse.Namespace, specs: tuple[HostSpec, ...]) -> int:
    """Open the fleet's screen; without a terminal, print the state of each host."""
    from clawtop.cli.common import has_terminal, notice_hook

    if not has_terminal():
        return _shown(_asked(specs, getattr(args, "wait", WAIT_S)), args)
    from clawtop.clock import SystemClock
    from clawtop.ui.fleet_run import run_fleet
    from clawtop.ui.ports import IncidentPorts, Options

    options = Options(
        read_only=getattr(args, "read_only", False),
        mouse=not getattr(args, "no_mouse", False),
        theme=getattr(args, "theme", None),
        incident=IncidentPorts(
            bell=getattr(args, "bell", False),
            notify=getattr(args, "notify", False),
            on_notice=notice_hook(args),
            blocked_minutes=getattr(args, "blocked_minutes", args.settings["limits.blocked_minutes"]),
        ),
    )
    clock = SystemClock()
    return run_fleet(_fleet(specs, clock), clock, options)


def _fleet(specs: tuple[HostSpec, ...], clock: Clock) -> Fleet:
    import getpass

    from clawtop.fleet.fleet import Fleet
    from clawtop.fleet.transport import CommandTransport, control_directory

    who = f"{getpass.getuser()}@{os.uname().nodename}"
    return Fleet(specs, CommandTransport(control_directory(os.environ), clock), clock, who=who)


def _asked(specs: tuple[HostSpec, ...], wait_s: float) -> tuple[Host, ...]:
    from clawtop import threads  # every start reads this module's options; only this needs an event loop
    from clawtop.clock import SystemClock

    return threads.run(_fleet(specs, SystemClock()).settled(wait_s))


def _shown(hosts: tuple[Host, ...], args: argparse.Namespace) -> int:
    from clawtop.cli.output import columns
    from clawtop.clock import SystemClock
    from clawtop.core.fleet.hosts import exit_code
    from clawtop.view.fitting import cut
    from clawtop.view.fleet_rows import plain_lines, report
    from clawtop.view.line import text_of

    now = SystemClock().now_ms()
    if getattr(args, "json", False):
        sys.stdout.write(json.dumps(report(hosts, now), separators=(",", ":")) + "\n")
    else:
        width = columns(PIPE_WIDTH)
        encoding = sys.stdout.encoding or "ascii"
        for line in plain_lines(hosts, now, width):
            text = text_of(cut(line, width)).rstrip()
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()
    return exit_code(hosts) if getattr(args, "check", False) else 0
