"""Make the pictures of the dashboard from a frozen state and a frozen clock.

    python screenshots/make.py            write them all (SVG, and PNG made from it)
    python screenshots/make.py --readme   write README's keys and verbs
    python screenshots/make.py --check    exit 1 unless the files are current

The SVG files are the same bytes on every machine. A PNG depends on the fonts of the machine that made it, so it
carries the digest of its SVG, and `--check` compares that.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import html
import re
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from clawtop.cells import cells  # noqa: E402
from clawtop.cli.main import usage_of  # noqa: E402 - the script runs from a checkout
from clawtop.core.fleet.hosts import Host  # noqa: E402
from clawtop.core.model import Snapshot  # noqa: E402
from clawtop.core.operations.plan import Plan  # noqa: E402
from clawtop.core.operations.receipt import Receipt  # noqa: E402
from clawtop.ui.fleet import FleetApp  # noqa: E402
from clawtop.ui.ports import Options, StoreHolder  # noqa: E402
from tests.support.clocks import ManualClock  # noqa: E402
from tests.support.fleets import HOSTS  # noqa: E402
from tests.support.keymap import with_keys  # noqa: E402
from tests.support.screens import make_app  # noqa: E402
from tests.support.worlds import INCIDENT, NOW, TOLD  # noqa: E402

FONTS = "DejaVu Sans Mono, Menlo, Consolas, monospace"
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Textual's export loads a font from a server; the pictures use what is there."""

TEXT = re.compile(r'<text class="([^"]*)" x="([0-9.]+)" y="([0-9.]+)" textLength="[0-9.]+"[^>]*>([^<]*)</text>')
CELL_WIDTH = 12.2
"""Of Rich's export, in the units of the picture."""

DIGEST_KEY = b"svg-sha256"


@dataclass(frozen=True)
class Scene:
    """A picture: the state, or the hosts of a fleet; the terminal's size, the keys that lead there."""

    name: str
    size: tuple[int, int] = (120, 30)
    keys: tuple[str, ...] = ()
    theme: str = "lobster"
    snapshot: Snapshot = INCIDENT
    hosts: tuple[Host, ...] = ()


SCENES = (
    Scene("overview"),
    Scene("overview-80x24", size=(80, 24)),
    Scene("session", keys=("tab",)),
    Scene("clear-preview", keys=("a", "c")),
    Scene("tree", keys=("2",)),
    Scene("timeline", keys=("4",), snapshot=TOLD),
    Scene("help", keys=("question_mark",)),
    Scene("fleet", size=(120, 22), hosts=HOSTS),
    Scene("light", keys=("tab", "tab"), theme="paper"),
)


async def _never(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
    raise NotImplementedError("a picture confirms nothing")


def fleet_app(scene: Scene) -> FleetApp:
    """The fleet's screen over a frozen clock."""
    options = Options(zone=UTC)
    return FleetApp(ManualClock(NOW), options, theme=scene.theme, hosts=lambda: scene.hosts, retry=lambda: None)


async def draw(scene: Scene) -> str:
    """The scene as SVG."""
    app = fleet_app(scene) if scene.hosts else make_app(scene.snapshot, theme=scene.theme, execute=_never)[0]
    async with app.run_test(size=scene.size) as pilot:
        await pilot.pause()
        for key in scene.keys:
            await pilot.press(key)
            await pilot.pause()
        svg = app.export_screenshot(title="clawtop")
    svg = re.sub(r"font-family: Fira Code[^;]*;", f"font-family: {FONTS};", FONT_FACE.sub("", svg))
    return TEXT.sub(on_grid, svg)


def on_grid(text: re.Match[str]) -> str:
    """A run of text as words, each at its own cell: fonts differ in the widths of arrows, bars and boxes."""
    style, x, y, content = text.groups()
    out = []
    for word in re.finditer(r"[!-~]+|[^\x00-\x7f\xa0]", html.unescape(content)):
        column = cells(html.unescape(content)[: word.start()].replace("\xa0", " "))
        left, width = float(x) + column * CELL_WIDTH, cells(word.group()) * CELL_WIDTH
        shown = html.escape(word.group(), quote=False)
        out.append(f'<text class="{style}" x="{left:g}" y="{y}" textLength="{width:g}">{shown}</text>')
    return "".join(out)


def digest(svg: str) -> bytes:
    return hashlib.sha256(svg.encode()).hexdigest().encode()


def with_digest(png: bytes, svg: str) -> bytes:
    """The PNG with a text chunk that names the SVG it was made from."""
    body = b"tEXt" + DIGEST_KEY + b"\0" + digest(svg)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = png.rindex(b"IEND") - 4
    return png[:end] + chunk + png[end:]


def is_current(scene: Scene, svg: str) -> bool:
    """Whether both files show this SVG."""
    drawn, picture = HERE / f"{scene.name}.svg", HERE / f"{scene.name}.png"
    if not drawn.is_file() or not picture.is_file():
        return False
    return drawn.read_text(encoding="utf-8") == svg and DIGEST_KEY + b"\0" + digest(svg) in picture.read_bytes()


def write(scene: Scene, svg: str) -> None:
    import cairosvg

    (HERE / f"{scene.name}.svg").write_text(svg, encoding="utf-8")
    png = cairosvg.svg2png(bytestring=svg.encode(), scale=1.0)
    (HERE / f"{scene.name}.png").write_bytes(with_digest(png, svg))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the files are current")
    parser.add_argument("--readme", action="store_true", help="write README's keys and verbs instead")
    options = parser.parse_args()
    if options.readme:
        readme = Path(__file__).resolve().parent.parent / "README.md"
        readme.write_text(with_keys(readme.read_text(), usage_of))
        return 0
    stale = []
    for scene in SCENES:
        svg = asyncio.run(draw(scene))
        if not is_current(scene, svg):
            stale.append(scene.name)
            if not options.check:
                write(scene, svg)
    print(("stale: " if options.check else "written: ") + ", ".join(stale) if stale else "all are current")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
