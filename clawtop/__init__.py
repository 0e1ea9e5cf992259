"""clawtop: a live dashboard and failover engine for OpenClaw gateways.

The map. Data flows one way: disk -> store -> hub -> Snapshot -> view -> ui; keys and verbs flow back as plans.

    errors.py    what an operator may read when something fails
    text.py      the one door from foreign bytes to a screen: safe, masked, elided
    clock.py     the one door through which time enters
    commands.py  THE table of commands: keys, palette, help, cli verbs and the README's list come from it
    core/        decides: pure functions over frozen values; standard library only, no clock, no I/O
    store/       the disk: one module per format; the only code that knows what a file looks like
    engine/      asyncio: owns every task; the only writer of OpenClaw's store
    view/        pure: a Snapshot and a time become rows and lines; no terminal library
    ui/          Textual, and nothing else
    cli/         the verbs of the shell; heavy imports are lazy
    demo/        a small world on loopback that misbehaves on a script
"""

__version__ = "0.1.0"
