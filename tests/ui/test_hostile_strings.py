"""Every string of a state in every screen: no control character, no markup, no frame that breaks."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from clawtop.commands import COMMANDS
from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.redaction import remember_secrets
from clawtop.ui.app import ClawtopApp
from clawtop.ui.ports import IncidentPorts
from clawtop.ui.screens.overview import OverviewScreen
from tests.soak.opening import ROW, Hand, Way, dashboard
from tests.soak.opening import WAYS as SCREENS
from tests.support.hostile import CONTROLS, MARKUP, SECRET, everywhere, gives_away, hidden_in, planted, secret_forms
from tests.support.live_dashboard import until
from tests.support.screens import make_app, screen_text
from tests.support.worlds import CALM, NOW, TOLD

pytestmark = pytest.mark.anyio

LEAVES = {"quit", "copy", "palette"}
"""Commands that end the app, write to the terminal by its own protocol, or are Textual's own screen."""

WAYS = [
    (*path, key)
    for path in ((), ("down", "down"), ("tab", "down"), ("tab", "tab", "down"), ("a",))
    for key in dict.fromkeys(command.keys[0] for command in COMMANDS if command.keys and command.id not in LEAVES)
]
CHUNKS = 6


def clean(app: ClawtopApp, where: object) -> None:
    """No hidden character and no secret in the frame, nor in its picture."""
    frame = screen_text(app)
    assert hidden_in(frame) == [], where
    assert not gives_away(frame), where
    for strip in app.screen._compositor.render_strips():
        assert all(segment.control is None and "\n" not in segment.text for segment in strip), where
    picture = app.export_screenshot()
    assert [char for char in hidden_in(picture) if char != "\t"] == [], where
    assert not gives_away(picture), where
    ElementTree.fromstring(picture)


async def walk(snapshot: Snapshot, ways: list[tuple[str, ...]], size: tuple[int, int]) -> None:
    for way in ways:
        app, _, _ = make_app(snapshot)
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            for key in way:
                await pilot.press(key)
                clean(app, way)


@pytest.mark.long
@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_no_key_leads_to_a_screen_that_lets_a_string_out(chunk: int) -> None:
    hostile = everywhere(TOLD, lambda text: f"{text}{CONTROLS[len(text) % len(CONTROLS)]}{MARKUP[len(text) % 5]}")
    await walk(hostile, WAYS[chunk::CHUNKS], (120, 30))


@pytest.mark.parametrize("payload", [*CONTROLS, *MARKUP])
async def test_each_payload_in_every_string_of_each_view(payload: str) -> None:
    hostile = everywhere(TOLD, lambda text: payload + text[:40] + payload)
    app, _, _ = make_app(hostile)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.pause()
        clean(app, payload)
        for key in ("enter", "escape", "2", "3", "4", "5", "w", "escape", "question_mark"):
            await pilot.press(key)
            clean(app, (payload, key))


@pytest.mark.parametrize("form", list(secret_forms()))
async def test_no_form_of_a_secret_in_prose_reaches_a_screen(form: str) -> None:
    remember_secrets([SECRET])
    prose = f"the provider says: {secret_forms()[form]} is no key"
    app, _, _ = make_app(planted(TOLD, prose))
    async with app.run_test(size=(200, 40)) as pilot:
        await pilot.pause()
        clean(app, form)
        ways = ("enter", "escape", "down", "down", "enter", "escape", "tab", "down", "enter", "escape", "tab", "enter")
        for key in (*ways, "escape", "2", "enter", "escape", "3", "enter", "escape", "4", "enter", "escape", "5", "w"):
            await pilot.press(key)
            clean(app, (form, key))


@pytest.mark.long
@pytest.mark.parametrize(
    "prose", [CONTROLS[0] + MARKUP[0], "".join(CONTROLS[2:9]) + MARKUP[3], *secret_forms().values()]
)
async def test_no_dialog_and_no_run_shows_more_than_text_of_prose(prose: str) -> None:
    """Ids stay what they are: with others most of these screens do not open."""
    remember_secrets([SECRET])
    first = Way("a run that goes on", ("D", "h", "i", "enter"), "RunScreen", ("q",), "session")
    async with dashboard(1, planted(TOLD, f"it says {prose} is no key")) as (app, weather):
        hand = Hand(app, weather, OverviewScreen)
        for way in (first, *SCREENS):
            await hand.until(lambda row=way.row: app.view.select(ROW[row]), f"before {way.name}")  # type: ignore[misc, attr-defined]
            await hand.go(way, early=False, look=lambda name: clean(app, name))
    assert hand.seen >= {way.screen for way in SCREENS}


OSC = re.compile("\x1b\\](9;clawtop: |52;c;)([^\x07\x1b]*)\x07")
"""What is sent to the terminal beside the screen: a notice, and the clipboard."""


@pytest.mark.parametrize("payload", [*CONTROLS, *MARKUP, *secret_forms().values()])
async def test_what_goes_to_the_terminal_beside_the_screen_is_one_line_of_text(payload: str) -> None:
    remember_secrets([SECRET])
    sent, told = list[str](), list[str]()
    prose = planted(TOLD, payload) if payload in secret_forms().values() else None
    hostile = prose or everywhere(TOLD, lambda text: payload + text + payload)
    reverted = Event(NOW - 1, EventKind.REVERTED, "engine", f"a success {payload} wiped it")
    app, source, _ = make_app(CALM, incident=IncidentPorts(notify=True, on_notice=told.append))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        assert app._driver is not None
        app._driver.write = sent.append  # type: ignore[method-assign, assignment]
        source.tell(replace(hostile, number=9, events=(*hostile.events, reverted)))
        await until(pilot, lambda: app.snapshot is not None and app.snapshot.number == 9)
        app._tick()
        await until(pilot, lambda: bool(told))
        await pilot.press("y")
        await pilot.pause()
        target = app.view.target
    found = [match for text in sent for match in OSC.finditer(text)]
    assert OSC.sub("", "".join(sent)) == ""
    notices = [match[2] for match in found if match[1].startswith("9")]
    assert notices == told
    for text in told:
        assert hidden_in(text) == []
        assert "\n" not in text
        assert not gives_away(text)
    copied = [base64.b64decode(match[2]).decode("utf-8", "surrogateescape") for match in found if match[1][0] == "5"]
    assert target is not None
    assert copied == ([] if "\ud800" in target.id else [target.id]), "an id is copied exactly, or not at all"
