"""The stories, as data: when what happens, and its caption. Times are seconds from the start."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.demo.provider import Act, Drop, Respond, Stall, out_of_credit, overloaded, rate_limited
from clawtop.demo.world import CAST, PROFILES, Character
from clawtop.values import dataclass

LIGHTHOUSE, TIDEPOOL, HEARTBEAT, ARIEL, MOLT, HARBOUR = CAST
CORAL = tuple(f"coral:{name}" for name in PROFILES["coral"])
KELP = tuple(f"kelp:{name}" for name in PROFILES["kelp"])
CRAWLING = Respond("Every... word... takes... a... tide... here...", first_after=0.5, pause=0.9, pieces=18)
"""Just under the limit of a call."""
SLOW = Respond("One... claw... at... a... time...", first_after=0.5, pause=0.9, pieces=7)


@dataclass(frozen=True, slots=True)
class Behave:
    """From now on these profiles get this act; None: they work again."""

    profiles: tuple[str, ...]
    act: Act | None


@dataclass(frozen=True, slots=True)
class HoldLock:
    """Another process takes this session's write lock and keeps it for this many seconds."""

    session: Character
    seconds: float


@dataclass(frozen=True, slots=True)
class Crash:
    """Another process takes this session's write lock, is killed, and leaves it behind, its status `running`."""

    session: Character


@dataclass(frozen=True, slots=True)
class Talk:
    """A turn on a session now, in a lane; `slow` makes its answer crawl, so that others have to wait."""

    session: Character
    lane: str
    message: str
    slow: bool | Respond = False


@dataclass(frozen=True, slots=True)
class OtherTurn:
    """A turn of another clawtop on a session: it waits in the queue, visible to everybody."""

    session: Character
    lane: str
    message: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Somebody at another terminal clears a profile's cooldown, and says why."""

    profile: str
    reason: str


Doing = Behave | HoldLock | Crash | Talk | OtherTurn | Clear


@dataclass(frozen=True, slots=True)
class Beat:
    """What happens at a time, and its caption, short enough for 80 columns beside a screen's name."""

    at: float
    caption: str
    doings: tuple[Doing, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story. It restarts after `length` seconds; `chatter` is the mean pause between turns of a session."""

    name: str
    help: str
    length: float
    beats: tuple[Beat, ...]
    chatter: float = 5.0


_REEF = Scenario(
    "reef",
    "a little of everything: limits, locks, a crash, no credit, a long silence, and a calm evening",
    75.0,
    (
        Beat(0, "Morning on the reef: six keys, every claw in working order."),
        Beat(
            2,
            "Clawdia talks too much: rate limit. The reef shrugs and rotates.",
            (Behave(CORAL[:1], rate_limited(20)), Talk(LIGHTHOUSE, "main", "Count the lobster pots, please.")),
        ),
        Beat(
            4,
            "Sebastian rehearses in Ariel's session. She waits to sing.",
            (HoldLock(ARIEL, 22), Talk(ARIEL, "direct", "Is it my turn to sing?")),
        ),
        Beat(
            7,
            "Heartbeat meets channel: one sings, one queues, no line is lost.",
            (
                Talk(HEARTBEAT, "heartbeat", "Still beating?", slow=True),
                Talk(HEARTBEAT, "channel", "And who are you, snapping at me?"),
            ),
        ),
        Beat(
            11,
            "A gull takes the harbour clerk in mid-sentence. His lock stays.",
            (Crash(HARBOUR),),
        ),
        Beat(
            15,
            "Larry is out of credit: no coins, no coral till the bank opens.",
            (Behave((CORAL[1],), out_of_credit()), Talk(TIDEPOOL, "channel", "Larry, buy us a round of plankton?")),
        ),
        Beat(
            19,
            "Pinchy is overloaded too. The hermit crabs answer instead.",
            (Behave((CORAL[2],), overloaded()), Talk(MOLT, "cron", "Molt report, whoever is awake.")),
        ),
        Beat(
            27,
            "Barnaby drops the shell phone in the sea. Nothing stays locked.",
            (Behave((KELP[0],), Drop()), Talk(TIDEPOOL, "channel", "Hello? Is this thing waterproof?")),
        ),
        Beat(
            35,
            "Something deep does not answer. The reef stops waiting for it.",
            (Behave((KELP[1],), Stall()), Talk(LIGHTHOUSE, "main", "Deep one, are you there?")),
        ),
        Beat(48, "The tide turns: limits end, lines are mended.", (Behave((*CORAL, *KELP), None),)),
        Beat(60, "Evening. One stale lock lies on the beach: press 2, then a and u."),
    ),
)

_STORM = Scenario(
    "storm",
    "rate limits on every key, one after the other: rotation, cooldowns, fallback (threads 57281 and 342)",
    60.0,
    (
        Beat(0, "Storm warning for the coral coast."),
        *(
            Beat(
                2 + 3 * n,
                f"A wave takes {name.partition(':')[2]}.",
                (Behave((name,), rate_limited(15)), Talk(LIGHTHOUSE, "main", "Batten down the claws!")),
            )
            for n, name in enumerate((*CORAL, KELP[0]))
        ),
        Beat(35, "The storm passes; the keys come up for air.", (Behave((*CORAL, *KELP), None),)),
    ),
    chatter=2.5,
)

_OUTAGE = Scenario(
    "outage",
    "no answer from the deep: timeouts end runs, and no session stays locked (thread 62351)",
    60.0,
    (
        Beat(0, "The current stands still."),
        Beat(
            2,
            "Nothing answers. Runs time out, and no lock stays behind.",
            (
                Behave((*CORAL, *KELP), Stall()),
                Talk(LIGHTHOUSE, "main", "Anybody?"),
                Talk(TIDEPOOL, "channel", "Anybody at all?"),
                Talk(MOLT, "cron", "Molt report for nobody."),
            ),
        ),
        Beat(25, "A stir in the water: answers again.", (Behave((*CORAL, *KELP), None),)),
    ),
    chatter=3.0,
)

_DUET = Scenario(
    "duet",
    "heartbeat against channel on one session, again and again: a queue instead of a takeover (thread 83510)",
    48.0,
    (
        Beat(0, "Two voices, one session, one claw on the microphone."),
        *(
            Beat(
                2 + 8 * n,
                f"Duet, verse {n + 1}.",
                (
                    Talk(HEARTBEAT, "heartbeat", "La la lobster?", slow=True),
                    Talk(HEARTBEAT, "channel", "My verse now!"),
                    Talk(HEARTBEAT, "direct", "And mine after that."),
                ),
            )
            for n in range(5)
        ),
    ),
)

_ROUND_S = 19
_TOUR_BEATS = (
    Beat(
        0,
        "Three in the morning. Clawdia is over her limit, Larry is broke.",
        (
            Behave(CORAL[:1], rate_limited(900)),
            Behave((CORAL[1],), out_of_credit()),
            Behave((CORAL[2],), overloaded()),
            Talk(LIGHTHOUSE, "main", "Who put out the lamp?"),
            Talk(TIDEPOOL, "channel", "Why is it so quiet?"),
            Talk(MOLT, "cron", "Molt report, please."),
        ),
    ),
    Beat(
        1,
        "A gull took the harbour clerk in mid-sentence. His lock stayed.",
        (Crash(HARBOUR),),
    ),
    *(
        Beat(
            2 + _ROUND_S * n,
            "Heartbeat has Sebastian's microphone. The others stand in line.",
            (
                Talk(HEARTBEAT, "heartbeat", f"Still beating, verse {n + 1}?", slow=CRAWLING),
                OtherTurn(HEARTBEAT, "channel", "Sebastian? Are you there?"),
                OtherTurn(HEARTBEAT, "direct", "He never listens."),
            ),
        )
        for n in range(3_780 // _ROUND_S)
    ),
    *(
        Beat(
            45 + 2 * _ROUND_S * n,
            "Somebody at another terminal clears Clawdia.",
            (Clear(CORAL[0], "she has promised to be brief"),),
        )
        for n in range(90)
    ),
    Beat(4, "Pinchy has slept it off.", (Behave((CORAL[2],), None),)),
    Beat(6, "Somebody at another terminal clears Pinchy.", (Clear(CORAL[2], "he says he is fine"),)),
)
_TOUR = Scenario(
    "tour",
    "an incident that holds still long enough to look at: what --tour walks through",
    3_800.0,
    tuple(sorted(_TOUR_BEATS, key=lambda beat: beat.at)),
    chatter=6.0,
)

_CALM = Scenario("calm", "nothing goes wrong", 60.0, (Beat(0, "A calm sea, and all keys in their shells."),))

SCENARIOS: Mapping[str, Scenario] = {story.name: story for story in (_REEF, _STORM, _OUTAGE, _DUET, _TOUR, _CALM)}
DEFAULT_SCENARIO = _REEF.name
TOUR_SCENARIO = _TOUR.name
