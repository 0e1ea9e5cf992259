"""The record store for a registry choice; the etcd code is loaded only when it is first needed."""

from __future__ import annotations

from collections.abc import Callable

from clawtop.clock import Clock
from clawtop.engine.prompt.choice import RegistryChoice
from clawtop.engine.prompt.records import PromptRecords


def shared_records(choice: RegistryChoice | None, clock: Clock) -> Callable[[], PromptRecords] | None:
    """A factory of the records of a registry for several hosts; None: there is none, and files are used."""
    if choice is None:
        return None
    chosen = choice

    def make() -> PromptRecords:
        from clawtop.engine.etcd.records import etcd_records

        return etcd_records(chosen, clock)

    return make
