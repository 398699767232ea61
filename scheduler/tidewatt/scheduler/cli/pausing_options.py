"""The options of jobs that may be paused, each with its one help text."""

from typing import Annotated

import typer

Pausable = Annotated[
    bool | None,
    typer.Option("--pausable/--no-pausable", help="It may be paused for clean hours, and goes on later."),
]
PauseBy = Annotated[
    str | None,
    typer.Option(
        "--pause-by",
        metavar="checkpoint|stop",
        help="It saves its work and ends, or only stands still.  [checkpoint]",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="NAME", help="How it saves: huggingface, lightning, submitit, pytorch or plain."
    ),
]
PauseSignal = Annotated[
    str | None, typer.Option("--pause-signal", metavar="USR1", help="Asks it for a checkpoint.  [TERM]")
]
PauseGrace = Annotated[
    str | None, typer.Option("--pause-grace", metavar="2m", help="How long it may take to save.")
]
CheckpointDir = Annotated[
    str | None, typer.Option("--checkpoint-dir", metavar="DIR", help="Where its checkpoints are.")
]
DoneWhen = Annotated[
    list[str] | None,
    typer.Option(
        "--done-when",
        metavar="HOW",
        help="Its checkpoint is whole: exit:85, file:GLOB, unfinished:GLOB, log:LINE. Repeatable.",
    ),
]
ResumeArg = Annotated[
    list[str] | None,
    typer.Option("--resume-arg", metavar="ARG", help="Added to its command when it goes on. Repeatable."),
]
ResumeEnv = Annotated[
    list[str] | None,
    typer.Option("--resume-env", metavar="NAME=VALUE", help="Set when it goes on. Repeatable."),
]
Anew = Annotated[
    bool | None,
    typer.Option("--anew/--no-anew", help="It may be paused though it then begins anew."),
]
CheckpointTime = Annotated[
    str | None, typer.Option("--checkpoint-time", metavar="3m", help="What a checkpoint takes.")
]
RestartTime = Annotated[
    str | None, typer.Option("--restart-time", metavar="2m", help="What it takes until it gets on again.")
]
CheckpointWh = Annotated[
    float | None, typer.Option("--checkpoint-wh", min=0, metavar="WH", help="The energy of a checkpoint.")
]
RestartWh = Annotated[
    float | None, typer.Option("--restart-wh", min=0, metavar="WH", help="The energy of a restart.")
]
SuspendedW = Annotated[
    float | None,
    typer.Option("--suspended-w", min=0, metavar="W", help="What it draws while it stands still."),
]
MinStint = Annotated[
    str | None, typer.Option("--min-stint", metavar="30m", help="The least useful run between pauses.")
]
MaxPauses = Annotated[
    int | None, typer.Option("--max-pauses", min=0, metavar="N", help="It is paused at most so often.")
]
Moves = Annotated[
    bool | None,
    typer.Option("--moves/--no-moves", help="After a pause it may go on in another region."),
]
For = Annotated[
    str | None, typer.Option("--for", metavar="10m", help="It goes on by itself after this long.")
]
Stop = Annotated[bool, typer.Option("--stop", help="It stands still and keeps its memory and GPUs.")]
Checkpoint = Annotated[bool, typer.Option("--checkpoint", help="It saves its work and ends.")]
SignalName = Annotated[str, typer.Argument(metavar="SIGNAL", help="As `kill -l` names it: USR1.")]

FLAGS = {
    "pausable": Pausable,
    "pause_by": PauseBy,
    "preset": Preset,
    "pause_signal": PauseSignal,
    "pause_grace": PauseGrace,
    "checkpoint_dir": CheckpointDir,
    "done_when": DoneWhen,
    "resume_arg": ResumeArg,
    "resume_env": ResumeEnv,
    "anew": Anew,
    "checkpoint_time": CheckpointTime,
    "restart_time": RestartTime,
    "checkpoint_wh": CheckpointWh,
    "restart_wh": RestartWh,
    "suspended_w": SuspendedW,
    "min_stint": MinStint,
    "max_pauses": MaxPauses,
    "moves": Moves,
}
