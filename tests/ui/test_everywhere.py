"""Rules that hold on every screen: Escape, q, the footer's hints, the filter, elided ids, colour, mounting."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual._styles_cache import StylesCache
from textual.pilot import Pilot

from clawtop.cells import ELLIPSIS
from clawtop.commands import COMMANDS, command, key_label
from clawtop.core.model import Gateway, GatewayState, Snapshot
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt
from clawtop.core.settings import VIEWS
from clawtop.store.locks.processes import UncheckedProcesses
from clawtop.store.snapshot import SnapshotReader
from clawtop.ui.ports import StoreHolder
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.tables import TablesScreen
from clawtop.view.line import text_of
from clawtop.view.tour import TOUR, Tour
from tests.support.big_state import NOW as BIG_NOW
from tests.support.big_state import make as make_big
from tests.support.clocks import ManualClock
from tests.support.golden import assert_golden
from tests.support.incidents import CLEARED_AFTER_402, RESTARTING, half_written_log
from tests.support.live_dashboard import until
from tests.support.screens import make_app, screen_lines, screen_text
from tests.support.worlds import CALM, INCIDENT, NOW, OUT, STORY, TOLD

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parent / "golden"
SIZES = [(60, 20), (80, 24), (120, 30), (200, 50)]
KEYS = {view: command(view).keys[0] for view in VIEWS}


async def never(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
    raise AssertionError("nothing is confirmed here")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """200 profiles, 2,000 sessions, 500 locks; its directory named alike on every machine."""
    state = make_big(tmp_path_factory.mktemp("large"))
    clock = ManualClock(BIG_NOW)
    reader = SnapshotReader(
        state_dir=state.state_dir, env={}, home=Path("/"), clock=clock, processes=UncheckedProcesses(), at=BIG_NOW
    )
    return replace(reader.read(), host="reef-01", state_dir="/home/claw/.openclaw")


async def on(pilot: Pilot[None], view: str) -> TablesScreen:
    if view != "overview":
        await pilot.press(KEYS[view])
    await pilot.pause()
    screen = pilot.app.view  # type: ignore[attr-defined]
    assert isinstance(screen, TablesScreen)
    assert screen.view_id == view
    await until(pilot, lambda: all(table.table is not None for table in screen.tables))  # the first state is prepared
    await pilot.pause()
    return screen


# --- Escape and q ------------------------------------------------------------------------------------------------

OVER = {
    "help": ["question_mark"],
    "detail": ["enter"],
    "filter": ["slash", "x"],
    "palette": ["colon"],
    "preview": ["a", "c"],
}
"""What opens over the overview, by its keys."""


@pytest.mark.parametrize("over", OVER)
async def test_escape_closes_what_lies_over_the_overview(over: str) -> None:
    app, _, _ = make_app(INCIDENT, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press(*OVER[over])
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)
        assert not any(table.filter_text for table in app.screen.tables)
        assert app.is_running


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "overview"])
@pytest.mark.parametrize("key", ["escape", "q"])
async def test_escape_and_q_lead_from_every_view_to_the_overview_and_no_further(view: str, key: str) -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        await on(pilot, view)
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)
        assert app.return_code is None


async def test_escape_never_leaves_the_dashboard() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert app.return_code is None
        assert "q leaves" in screen_lines(app)[-1]


@pytest.mark.parametrize("view", VIEWS)
async def test_escape_takes_the_last_narrowing_back_first(view: str) -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await on(pilot, view)
        await pilot.press("slash", "z", "z", "enter")
        await pilot.pause()
        assert [table.filter_text for table in screen.tables] == ["zz"] * len(screen.tables)
        await pilot.press("escape")
        await pilot.pause()
        assert app.view.view_id == view
        assert not any(table.filter_text for table in screen.tables)


# --- the footer --------------------------------------------------------------------------------------------------


async def test_a_pause_ends_while_something_waits_on_a_screen_that_is_covered() -> None:
    """Nobody draws it or calls back until it is on top again: it must not keep a test waiting for ever."""
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(120, 30)) as pilot:
        covered = await on(pilot, "overview")
        await on(pilot, "lanes")
        covered._dirty_widgets.add(covered.current)
        covered._callbacks.append((covered.refresh_bindings, covered))
        await asyncio.wait_for(pilot.pause(), 20)
        await pilot.press("1")
        await pilot.pause()
        assert not covered._dirty_widgets
        assert not covered._callbacks


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("view", VIEWS)
async def test_every_hint_of_a_footer_works_on_its_screen(view: str, size: tuple[int, int]) -> None:
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=size) as pilot:
        screen = await on(pilot, view)
        foot = screen_lines(app)[-1]
        hinted = [
            item
            for item in COMMANDS
            if item.footer and item.keys and f" {key_label(item.keys[0])} {item.title} " in f"{foot} "
        ]
        assert {"arm", "help"} <= {item.id for item in hinted}
        context = app.context()
        for item in hinted:
            assert not item.views or view in item.views, item.id
            kinds = {
                row.target.kind for table in screen.tables if table.table for row in table.table.rows if row.target
            }
            assert not item.targets or context.target is None or kinds & item.targets, item.id


# --- finding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
async def test_the_filter_finds_every_row_by_every_word_it_shows(view: str) -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await on(pilot, view)
        for table in screen.tables:
            assert table.table is not None
            for row in table.table.rows:
                if row.band:
                    continue
                for column in table.table.columns:
                    for word in text_of(column.render(row.item, table.table.env)).split():
                        found = table.table.arranged(word.upper())
                        assert row.key in {each.key for each in found}, (word, column.id)
            assert table.table.arranged("no row shows this") == ()


async def test_a_filter_says_how_many_of_how_many() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"telegram", "enter")
        await pilot.pause()
        text = screen_text(app)
        assert "SESSIONS 2 of 14 /telegram " in text
        assert "LOCKS 1 of 5" in text


# --- ids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_no_id_is_cut_at_its_distinguishing_end(large: Snapshot, size: tuple[int, int]) -> None:
    """Whatever is elided of an id, its last characters stand on the screen."""
    app, _, _ = make_app(large)
    async with app.run_test(size=size) as pilot:
        screen = await on(pilot, "overview")
        await pilot.pause()
        lines = screen_lines(app)
        for table in screen.tables:
            assert table.table is not None
            top = table.region.y + 1
            for row, line in zip(table._rows[: table.page], lines[top : table.region.bottom], strict=False):
                if row.band or row.target is None:
                    continue
                first = table.table.columns[0]
                shown = text_of(first.render(row.item, table.table.env)).split()[-1]
                assert shown[-4:] in line, (shown, line)
                assert f"{ELLIPSIS} " not in line[: table._columns[0][1] + 2], line


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_large_state(large: Snapshot, size: tuple[int, int]) -> None:
    app, _, _ = make_app(large)
    async with app.run_test(size=size) as pilot:
        await on(pilot, "overview")
        await pilot.press("tab", "shift+tab")
        await pilot.pause()
        kept = {120: 70, 200: 110}.get(size[0], size[0])  # the detail beside names a directory that differs each time
        text = "\n".join(line[:kept].rstrip() for line in screen_text(app).splitlines())
        assert_golden(GOLDEN / f"large-{size[0]}x{size[1]}.txt", text + "\n")


# --- colour ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
async def test_nothing_is_said_by_colour_alone(view: str) -> None:
    """Without any colour the text is the same, and the row under the cursor still stands out."""
    texts = []
    for theme in ("lobster", "plain"):
        app, _, _ = make_app(TOLD, theme=theme)
        async with app.run_test(size=(120, 30)) as pilot:
            screen = await on(pilot, view)
            await pilot.pause()
            texts.append(screen_text(app))
            if theme == "plain" and screen.current.target is not None:
                line = screen.current.render_line(1 + screen.current._cursor)
                assert any(segment.style and segment.style.reverse for segment in line)
    assert texts[0] == texts[1]


# --- questions ---------------------------------------------------------------------------------------------------

AWAITED = replace(
    TOLD,
    agents=tuple(agent for agent in INCIDENT.agents if agent.id == "main"),
    gateway=Gateway(GatewayState.DEAD, 4711, 18789, how="its process is gone"),
)
"""The same night with one agent, whose gateway has died."""


def among_thousands(tmp_path: Path) -> Snapshot:
    """The same night on a host with 40 more agents, whose 2,000 sessions and 500 locks have troubles of their own."""
    state = make_big(tmp_path, agents=40, now=NOW)
    clock, processes = ManualClock(NOW), UncheckedProcesses()
    large = SnapshotReader(
        state_dir=state.state_dir, env={}, home=Path("/"), clock=clock, processes=processes, at=NOW
    ).read()
    own = {agent.id for agent in TOLD.agents}
    return replace(
        TOLD,
        agents=(*TOLD.agents, *(agent for agent in large.agents if agent.id not in own)),
        sessions=(*TOLD.sessions, *(session for session in large.sessions if session.agent not in own)),
        locks=(*TOLD.locks, *(lock for lock in large.locks if lock.file.agent not in own)),
    )


LARGE = "among thousands"
QUESTIONS = (
    "which account works",
    "when is the next back",
    "why is this chat silent",
    "who holds the lock, since when",
    "who waits",
    "what did the last operator do",
    "what do I press",
)
"""What an operator asks at three in the morning."""

ANSWERS: dict[str, tuple[Callable[[Path], Snapshot], tuple[str, ...]]] = {
    "incident": (
        lambda _: TOLD,
        (
            r"answers now with openai|next: .*openai:prod",
            r"first back in 22s|back in 22s",
            r"telegram:group:-100238841.*(‖ |▶ ).*(waiting|\d+s)|2 waiting",
            r"(held|stale|dead) .*3120|3120 .*(42m|31m)",
            r"waiting: ",
            r"done: clear openai:spare",
            r"[udc] (unlock|drain|clear cooldown)",
        ),
    ),
    "gateway dead": (
        lambda _: AWAITED,
        (
            r"PROFILES \d+/\d+ ",
            r"first back in 22s|back in 22s",
            r"DEAD .*nothing is answered",
            r"3120",
            r"waiting: ",
            r"done: clear openai:spare",
            r"restart gateway|openclaw gateway restart",
        ),
    ),
    "all out": (
        lambda _: replace(OUT, events=STORY),
        (
            r"PROFILES 0/3|0 of 3 profiles usable",
            r"first back in 22s",
            r"DEAD .*nothing is answered",
            r"No locks now",
            r"\b0 lanes: prompts held and waiting",
            r"done: clear openai:spare",
            r"restart gateway",
        ),
    ),
    "gateway restarting": (
        lambda _: RESTARTING,
        (
            r"2 of 2 profiles usable · next: openai:prod|● 2 usable",
            r"the gateway is starting",
            r"ghost .*dead 4402",
            r"✗ pid 4402 is dead|stale .*1m35s",
            r"the gateway is starting: no answer yet",
            r"done: clear openai:spare",
            r"u unlock.*|wait for it",
        ),
    ),
    "half-written log": (
        half_written_log,
        (
            r"2 of 2 profiles usable · next: openai:night|● 2 usable",
            r"2 of 2 usable",
            r"telegram:direct:4001 .*failed|SILENT .*1 message without an answer",
            r"gateway ● held .*40m",
            r"Nothing waits for anything",
            r"done: clear openai:prod",
            r"Nothing is blocked|Nothing waits for anything",
        ),
    ),
    "all 402, then cleared": (
        lambda _: CLEARED_AFTER_402,
        (
            r"PROFILES 0/2|0 of 2 usable, 2 not loaded",
            r"first back 08:02:07|4h50m at 08:02:07",
            r"the gateway has nothing usable",
            r"gateway ● held .*40m",
            r"agent main: no profile for its models is usable",
            r"done: clear openai",
            r"secrets reload",
        ),
    ),
    "calm": (
        lambda _: replace(CALM, events=STORY[-1:]),
        (
            r"2 of 2 profiles usable · next: openai:night|● 2 usable",
            r"2 of 2 usable",
            r"Nothing is blocked and nothing needs attention",
            r"gateway ● held",
            r"Nothing waits for anything",
            r"done: clear openai:spare",
            r"Nothing is blocked and nothing needs attention",
        ),
    ),
}
ANSWERS[LARGE] = (among_thousands, ANSWERS["incident"][1])
"""Of each golden incident the answer to each question, as it stands on the screen."""

FIRST_KEYS = ("", "2", "3", "4", "5", "tab")
"""No key, and each that opens what may answer."""


@pytest.mark.parametrize(
    "incident", [*(name for name in ANSWERS if name != LARGE), pytest.param(LARGE, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("size", [(80, 24), (120, 30)], ids=["80x24", "120x30"])
async def test_each_question_is_answered_within_one_key(incident: str, size: tuple[int, int], tmp_path: Path) -> None:
    """Reads the screen before any key and after each single one: the answer stands on one of them."""
    made, answers = ANSWERS[incident]
    snapshot = made(tmp_path)
    screens: dict[str, str] = {}
    for key in FIRST_KEYS:
        app, _, _ = make_app(snapshot)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await pilot.press(*([key] if key else []))
            screen = app.view
            assert isinstance(screen, TablesScreen)
            await until(pilot, lambda: all(table.table is not None for table in screen.tables))  # noqa: B023
            await pilot.pause()
            screens[key] = screen_text(app)
    keys_needed = {
        question: min((len(key[:1]) for key, text in screens.items() if re.search(answer, text)), default=None)
        for question, answer in zip(QUESTIONS, answers, strict=True)
    }
    unanswered = [question for question, keys in keys_needed.items() if keys is None or keys > 1]
    assert not unanswered, keys_needed


# --- mounting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "steps"), [(1, 40), (2, 40), pytest.param(3, 500, marks=pytest.mark.long)])
async def test_screens_open_and_close_under_ticks_snapshots_and_resizes(seed: int, steps: int) -> None:
    """Nothing waits for a screen to be composed: whatever comes between finds it as it is."""
    app, source, _ = make_app(TOLD, execute=never)
    chance = random.Random(seed)
    keys = [*KEYS.values(), "q", "escape", "question_mark", "enter", "slash", "colon", "a", "c", "u", "n", "f", "plus"]
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        for number in range(steps):
            key = chance.choice(keys)
            if key == "q" and isinstance(app.screen, OverviewScreen):
                continue
            pressed = asyncio.create_task(pilot.press(key))
            for _ in range(chance.randrange(4)):
                match chance.choice((0, 0, 0, 1, 1, 1, 2)):
                    case 0:
                        app._tick()
                    case 1:
                        source.tell(replace(TOLD, number=100 + number, warnings=TOLD.warnings[: number % 2]))
                    case _:
                        await pilot.resize_terminal(chance.randrange(50, 200), chance.randrange(16, 50))
                await asyncio.sleep(0)
            await pressed
        await pilot.pause()
        assert app.return_code is None
        assert app._exception is None


async def test_screens_that_were_left_are_forgotten() -> None:
    """The library's cache would keep a screenful of lines for each of the last thousand widgets."""
    gc.collect()
    others = {id(each) for each in gc.get_objects() if isinstance(each, StylesCache)}
    app, _, _ = make_app(TOLD, execute=never)
    async with app.run_test(size=(120, 30)) as pilot:
        for _ in range(3):
            await pilot.press("4", "escape")
        await pilot.pause()
        gc.collect()
        caches = [each for each in gc.get_objects() if isinstance(each, StylesCache) and id(each) not in others]
        shown = sum(1 for _ in app.screen.walk_children(with_self=True))
        assert len(caches) <= shown + 20


# --- the tour ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 30)], ids=["80x24", "120x30"])
async def test_the_tour_is_walked_by_its_keys_while_everything_else_works(size: tuple[int, int]) -> None:
    app, _, _ = make_app(TOLD, tour=Tour())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        for number, step in enumerate(TOUR, start=1):
            assert f" {number} of {len(TOUR)}  {step.question}  press " in screen_text(app)
            await pilot.press("question_mark", "escape", command(step.command_id).keys[0])
            following = f" {number + 1} of {len(TOUR)}  " if number < len(TOUR) else "That was the tour."
            while following not in screen_text(app):
                await pilot.pause()
            assert step.question in screen_text(app)
        assert "That was the tour." in screen_text(app)
        lines = screen_lines(app)
        assert "Esc Back" in lines[-1]
        assert len(lines) == size[1]
