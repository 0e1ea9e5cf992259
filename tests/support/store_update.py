"""A change of an auth store without a task, for tests and writer processes."""

from __future__ import annotations

from dataclasses import replace

from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import AuthPlace, Change, Landing, OnWait, PlaceUpdate, Updated


def update(
    place: AuthPlace,
    change: Change,
    machine: Machine,
    *,
    wait: float,
    on_wait: OnWait = lambda _: None,
) -> Updated:
    """As `clawtop.engine.operations.locked.update_store`: same result, same errors."""
    job = place.change(change, machine, on_wait, lambda _: None)
    updated = _driven(job, machine, wait)
    landing = job.look_back(updated)
    if landing is Landing.LOST:
        updated = replace(_driven(job, machine, wait), tries=2)
        landing = job.look_back(updated)
    return replace(updated, landing=landing)


def _driven(job: PlaceUpdate, machine: Machine, wait: float) -> Updated:
    job.begin(wait)
    try:
        while not isinstance(result := job.once(), Updated):
            machine.clock.pause(result)
    finally:
        job.end()
    return result
