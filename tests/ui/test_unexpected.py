"""Whatever breaks beside a screen: it ends in words on that screen, with a report, and nothing stays at work."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from clawtop import crash
from clawtop.redaction import remember_secrets
from clawtop.ui.app import ClawtopApp
from clawtop.ui.jobs import Jobs
from clawtop.ui.ports import IncidentPorts, JobPorts
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.screens.overview import OverviewScreen
from tests.soak.opening import ROW, DriverResources
from tests.support.clocks import ManualClock
from tests.support.screens import make_app, screen_text
from tests.support.waiting import until
from tests.support.worlds import NOW, TOLD

pytestmark = pytest.mark.anyio

SECRET = "planted-credential-445566"


def breaks(*_arguments: object, **_named: object) -> Any:
    raise RuntimeError(f"it broke: {SECRET}")


async def breaks_later(*_arguments: object, **_named: object) -> Any:
    breaks()


class Broken(DriverResources):
    """Works, but for one thing."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        if broken:
            setattr(self, broken, breaks_later if broken in {"recover", "aclose"} else breaks)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    remember_secrets([SECRET])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(crash, "_written", {})
    return tmp_path


def made(broken: str) -> ClawtopApp:
    clock, resources = ManualClock(NOW), Broken("" if broken == "execute" else broken)
    ports = JobPorts(drains=resources, engine=lambda: resources, recoveries=resources)  # type: ignore[arg-type]
    execute = breaks_later if broken == "execute" else None
    app, _, _ = make_app(
        TOLD,
        clock=clock,
        execute=execute or breaks_later,
        save_label=breaks,
        save_look=breaks,
        jobs=Jobs(ports, clock),
        incident=IncidentPorts(save=breaks),
    )
    return app


DIALOGS = {
    "one operation": ("execute", "account", ("c", "y"), "stopped"),
    "several operations": ("execute", "account", ("space", "j", "space", "c", "y"), "done"),
    "the preview of a drain": ("preview", "session", ("d",), "over"),
    "a drain's beginning": ("prepare", "session", ("d",), "over"),
    "a run's beginning": ("drive", "session", ("D", "h", "i", "enter"), ""),
    "a look at a stuck session": ("assess", "session", ("V",), "done"),
    "a label": ("", "session", ("L", "h", "i", "enter"), ""),
}


@pytest.mark.parametrize("name", DIALOGS)
async def test_a_dialog_says_what_broke_and_can_be_left(name: str, reports: Path) -> None:
    broken, row, keys, state = DIALOGS[name]
    app = made(broken)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, row, keys)
        await until(lambda: "unexpected error while" in screen_text(app))
        assert isinstance(app.screen, DialogScreen)
        title = "".join(text for text, _ in app.screen.title_line())
        assert title.rstrip().endswith(state)
        assert "work" not in title
        assert SECRET not in screen_text(app)
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, OverviewScreen))
    assert_reported(reports)


async def test_rows_after_the_one_that_broke_are_said_not_to_be_begun(reports: Path) -> None:
    app = made("execute")
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "account", ("g", "j", "space", "space", "c", "y"))
        await until(lambda: "not started" in screen_text(app))
    assert_reported(reports)


async def test_the_question_before_leaving_can_be_answered_again(reports: Path) -> None:
    app = made("aclose")
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "session", ("D", "h", "i", "enter"))
        await until(lambda: type(app.screen).__name__ == "RunScreen")
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, OverviewScreen))
        await pilot.press("q")
        await until(lambda: type(app.screen).__name__ == "LeaveScreen")
        await pilot.press("y")
        await until(lambda: "unexpected error while releasing everything" in screen_text(app))
        assert "Yes, stop them and leave" in screen_text(app)
        await pilot.press("X", "n")
        await until(lambda: isinstance(app.screen, OverviewScreen))
        assert app.jobs is not None
        for run in app.jobs.runs:
            run.cancel()
    assert_reported(reports)


@pytest.mark.parametrize("key", ["T", "b"], ids=["the look", "an incident file"])
async def test_what_is_saved_beside_the_screen_says_what_broke(key: str, reports: Path) -> None:
    app = made("")
    app.survival.wanted = True
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.pause()
        await pilot.press(key)
        await until(lambda: "unexpected error while saving" in screen_text(app))
    assert_reported(reports)


async def test_a_late_look_at_operations_that_breaks_is_said_and_done_again(reports: Path) -> None:
    app = made("")
    app.survival.wanted = True
    asked: list[object] = []

    async def look_again(snapshot: object) -> Any:
        asked.append(snapshot)
        breaks()

    app.notifier.look_again = look_again
    async with app.run_test(size=(160, 40)):
        await until(lambda: "unexpected error while looking at earlier operations" in screen_text(app))
        app.notifier.look(app, TOLD)
        await until(lambda: len(asked) == 2)
    assert_reported(reports)


async def opened(app: ClawtopApp, pilot: Pilot[Any], row: str, keys: tuple[str, ...]) -> None:
    await pilot.pause()
    app.arming.toggle()
    assert app.view.select(ROW[row])  # type: ignore[attr-defined]
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


def assert_reported(reports: Path) -> None:
    texts = [path.read_text() for path in reports.glob("clawtop-crash-*")]
    assert len(texts) == 1
    assert "RuntimeError" in texts[0]
    assert SECRET not in texts[0]
