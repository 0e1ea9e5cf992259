"""`clawtop probe`: send each account one tiny request, and report which are usable."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from clawtop import threads
from clawtop.cli.driving import model_named
from clawtop.core.nearest import did_you_mean
from clawtop.errors import UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import ModelRef, Profile
    from clawtop.engine.drive.driver import Driver
    from clawtop.engine.drive.probe import Probed

SCHEMA = 1
EXIT_CODES = """\
exit codes:
  0  every probed account is usable
  1  some are not
  3  the state cannot be read
  5  none are
  64 wrong command line

Each account costs its provider one request of a few tokens. Nothing is written unless --mark is given: then the
results are marked in OpenClaw's store, as a turn would mark them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    parser.add_argument("profile", nargs="*", metavar="PROFILE", help="profile ids of the accounts to probe")
    parser.add_argument("--provider", metavar="P", help="every account of this provider")
    parser.add_argument("--all", action="store_true", help="every account")
    parser.add_argument("--model", metavar="P/M", help="the model to ask (default: the agent's first)")
    parser.add_argument("--mark", action="store_true", help="record the results as marks in OpenClaw's store")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """Probe."""
    if args.at is not None:
        raise UsageError("probe works only on the live state", hint="leave out --at")
    if not args.profile and args.provider is None and not args.all:
        raise UsageError("name accounts, a provider with --provider, or --all")
    found = threads.run(_probe(args, model_named(args.model)))
    if args.json:
        print(json.dumps({"schema": SCHEMA, "type": "probe", "accounts": [_facts(one) for one in found]}))
    else:
        _print(found)
    usable = sum(one.is_usable for one in found)
    return 0 if usable == len(found) else 1 if usable else 5


async def _probe(args: argparse.Namespace, model: ModelRef | None) -> list[Probed]:
    from clawtop.engine.drive.driver import Driver
    from clawtop.engine.drive.probe import probe
    from clawtop.store.owners import check_calls

    async with Driver(args.state_dir) as driver:
        check_calls(driver.layout.state_dir, os.geteuid())
        agent = args.agent or _default_agent(driver)
        profiles = _chosen(args, driver, agent)
        return await probe(driver.resources, agent, profiles, mark=args.mark, model=model)


def _default_agent(driver: Driver) -> str:
    agents = driver.layout.agents
    found = next((agent for agent in agents if agent.is_default), agents[0] if agents else None)
    if found is None:
        raise UsageError("no agent here has accounts to probe")
    return found.id


def _chosen(args: argparse.Namespace, driver: Driver, agent: str) -> list[Profile]:
    stored = driver.resources.auth(agent).profiles
    by_id = {profile.id: profile for profile in stored}
    unknown = [name for name in args.profile if name not in by_id]
    if unknown:
        raise UsageError(
            f"there is no profile {safe(unknown[0], 80)}{did_you_mean(unknown[0], by_id)}",
            hint="clawtop status lists the profiles",
        )
    chosen = [by_id[name] for name in dict.fromkeys(args.profile)]
    chosen += [profile for profile in stored if args.all or profile.provider == args.provider]
    if not chosen:
        providers = {profile.provider for profile in stored}
        raise UsageError(
            f"no account of {safe(args.provider, 60)} is stored{did_you_mean(args.provider or '', providers)}",
            hint="clawtop status lists the profiles",
        )
    return list({profile.id: profile for profile in chosen}.values())


def _facts(one: Probed) -> dict[str, Any]:
    return {
        "profile": one.profile,
        "provider": one.provider,
        "model": one.model,
        "state": one.state,
        "reason": one.reason,
        "until": one.until,
        "latency_ms": one.latency_ms,
        "why": one.why,
    }


def _print(found: list[Probed]) -> None:
    from clawtop.clock import SystemClock

    now = SystemClock().now_ms()
    width = max(len(safe(one.profile, 60)) for one in found)
    for one in found:
        words = one.state if one.state != "limited" else f"limited ({_until(one.until, now)})"
        latency = "" if one.latency_ms is None else f"{one.latency_ms} ms"
        reason = f"{one.reason}: " if one.reason and not one.is_usable else ""
        line = f"{safe(one.profile, 60):{width}}  {words:24}  {latency:>8}  {reason}{safe(one.why, 300)}"
        print(line.rstrip())


def _until(until: int | None, now: int) -> str:
    from clawtop.view.humanize import countdown

    return "for an unknown time" if until is None else f"for {countdown(until, now)}"
