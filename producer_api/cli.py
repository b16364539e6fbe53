"""The `castline` command: parses, calls, and turns our errors into one line and an exit status of 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from platformdirs import user_data_path, user_state_path

from contracts.errors import CastlineError
from contracts.ports import JobKind
from contracts.topology import DEFAULT_HEARING_MODEL
from producer_api.commands import dead as dead_command
from producer_api.commands import doctor as doctor_command
from producer_api.commands import mine, recordings, sources
from producer_api.commands import say as say_command
from producer_api.commands import status as status_command
from producer_api.commands import transcribe as transcribe_command
from producer_api.commands import up as up_command
from producer_api.commands.client import Server
from producer_api.commands.history import History
from producer_api.commands.lines import INTERRUPTED, Left, complain
from producer_api.transcript_text import TextFormat

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Text in, a link at once, speech while it is made.")

Url = Annotated[str, typer.Option(envvar="CASTLINE_URL", help="The castline server.")]
DATA_DIR = user_data_path("castline")
STATE_DIR = user_state_path("castline")
StateDir = Annotated[Path, typer.Option(envvar="CASTLINE_STATE_DIR", help="Remembers the casts made from here.")]
DEFAULT_URL = "http://127.0.0.1:8080"

dead = typer.Typer(no_args_is_help=True, help="What was given up: look at it, make it again, forget it.")
app.add_typer(dead, name="dead")
Kind = Annotated[JobKind | None, typer.Option(help="Kind of job; all of them without it.")]
Letter = Annotated[str | None, typer.Argument(metavar="ID", help="As `castline dead list` prints it.")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]
DataDir = Annotated[
    Path, typer.Option(envvar="CASTLINE_DATA_DIR", help="Of `castline up`; used if CASTLINE_STORE is not set.")
]


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; 8080, or a free one if that is taken.")] = None,
    engine: Annotated[str, typer.Option(help="kokoro-onnx, kokoro, elevenlabs, espeak or tone.")] = "kokoro-onnx",
    data_dir: Annotated[
        Path, typer.Option(envvar="CASTLINE_DATA_DIR", help="Casts, models and the secret.")
    ] = DATA_DIR,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,  # noqa: FBT002  a flag
    hearing: Annotated[
        bool | None, typer.Option("--hearing/--no-hearing", help="A hearing worker, too; if castline[stt] is here.")
    ] = None,
) -> None:
    """Run everything on this machine: front, workers, SQLite. Nothing to install, nothing to configure."""
    plan = up_command.Plan(host, port, engine, data_dir, workers, browser, hearing)
    raise typer.Exit(up_command.run(plan))


@app.command()
def say(  # noqa: PLR0913, PLR0917  each is a flag of the command
    text: Annotated[
        str | None, typer.Argument(help="The text; - for standard input, spoken while it is written.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE|URL|-", help="A document: text, Markdown, HTML, EPUB, DOCX."),
    ] = None,
    voice: Annotated[str | None, typer.Option(help="A voice, or a mix like af_bella(2)+af_sky(1).")] = None,
    speed: Annotated[float, typer.Option(help="0.25 to 4.")] = 1.0,
    language: Annotated[str | None, typer.Option(help="BCP 47 tag; the document's own without it.")] = None,
    title: Annotated[str | None, typer.Option(help="Shown on the page; the document's own without it.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write .opus, .mp3, .wav or .flac.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print sentences as they are spoken.")] = False,  # noqa: FBT002  a flag
    play: Annotated[bool, typer.Option("--play", help="Play it while it is made.")] = False,  # noqa: FBT002  a flag
    url: Url = DEFAULT_URL,
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Speak a text or a document: prints the link of its cast at once."""
    server = Server(url)
    source = sources.find(server, text, file)
    body = {"speed": speed, "title": source.title if title is None else title}
    given = (("text", source.text), ("voice", voice), ("language", language or source.language))
    body |= {k: v for k, v in given if v is not None}
    say_command.run(server, body, say_command.Outputs(out, follow, play), History(state_dir))


@app.command("ls")
def list_casts(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,  # noqa: FBT002  a flag
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Casts made from this machine, newest first: link, state, units, length, title."""
    mine.list_casts(History(state_dir), limit, as_json=json)


@app.command("open")
def open_page(
    cast: Annotated[str, typer.Argument(metavar="ID|LINK")], url: Url = DEFAULT_URL, state_dir: StateDir = STATE_DIR
) -> None:
    """Open the page of a cast in the browser."""
    mine.open_page(Server(url), History(state_dir), cast)


@app.command("rm")
def remove(
    casts: Annotated[list[str], typer.Argument(metavar="ID|LINK…")], url: Url = DEFAULT_URL,
    state_dir: StateDir = STATE_DIR,
) -> None:  # fmt: skip
    """Cancel casts that are being made, and forget them here. The server keeps what was made until it expires."""
    raise typer.Exit(mine.remove(Server(url), History(state_dir), casts))


@app.command()
def transcribe(  # noqa: PLR0913, PLR0917  each is a flag of the command
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Audio, video, folders, - for standard input.")],
    fmt: Annotated[TextFormat | None, typer.Option("--format", help="As --out ends, else txt.")] = None,
    language: Annotated[str | None, typer.Option(help="That is spoken, like en; detected without it.")] = None,
    task: Annotated[Literal["transcribe", "translate"], typer.Option(help="translate: into English.")] = "transcribe",
    prompt: Annotated[str, typer.Option(help="Names and style to expect.")] = "",
    words: Annotated[bool, typer.Option("--words", help="With times of words (json).")] = False,  # noqa: FBT002  a flag
    model: Annotated[str, typer.Option(help="Hearing model.")] = DEFAULT_HEARING_MODEL,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR|FILE", help="Where to write it.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Hear recordings. One file goes to stdout; of several, or of a folder, each transcript goes beside its recording.

    Prints the link first: to stderr where the transcript goes to stdout. Transcripts that are there are written over.
    """
    options = {"model": model, "task": task, "prompt": prompt, "words": str(words).lower()}
    options |= {} if language is None else {"language": language}
    raise typer.Exit(transcribe_command.run(Server(url), recordings.plan(files, out, fmt), options))


@app.command()
def status(
    job: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Id or link of a job; the server's own status without one."),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Where a cast, a transcript or a completion stands, or whether the server is ready."""
    raise typer.Exit(status_command.run(Server(url), job))


@app.command()
def doctor(
    data_dir: Annotated[Path, typer.Option(envvar="CASTLINE_DATA_DIR")] = DATA_DIR,
    url: Url = DEFAULT_URL,
) -> None:
    """Check what castline needs on this machine, and say what to do about what is missing."""
    raise typer.Exit(doctor_command.run(data_dir, url))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def models(context: typer.Context) -> None:
    """`castline models pull [NAME]` and `castline models list`: model files, checked by their sha256."""
    # The front never imports workers: the model store is theirs, and has a command of its own.
    done = subprocess.run([sys.executable, "-m", "workers.models", *context.args], check=False)
    raise typer.Exit(done.returncode)


@dead.command("list")
def dead_list(
    kind: Kind = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,  # noqa: FBT002  a flag
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Id, time, lane, unit (cast:epoch:index) and reason of each."""
    address = dead_command.find_address(data_dir)
    raise typer.Exit(dead_command.run(dead_command.list_letters(address, kind, limit, as_json=json)))


@dead.command("show")
def dead_show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="As `castline dead list` prints it.")],
    data_dir: DataDir = DATA_DIR,
) -> None:
    """One letter, with the text of its unit."""
    raise typer.Exit(dead_command.run(dead_command.show(dead_command.find_address(data_dir), letter)))


@dead.command("retry")
def dead_retry(letter: Letter = None, every: All = False, kind: Kind = None, data_dir: DataDir = DATA_DIR) -> None:  # noqa: FBT002  a flag
    """Make its job again, and forget the letter: the whole cast, or of a transcript what was given up."""
    address = dead_command.find_address(data_dir)
    raise typer.Exit(dead_command.run(dead_command.retry(address, letter, kind, every=every)))


@dead.command("drop")
def dead_drop(letter: Letter = None, every: All = False, kind: Kind = None, data_dir: DataDir = DATA_DIR) -> None:  # noqa: FBT002  a flag
    """Forget it."""
    address = dead_command.find_address(data_dir)
    raise typer.Exit(dead_command.run(dead_command.drop(address, letter, kind, every=every)))


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except Left as exc:
        complain(str(exc))
        sys.exit(INTERRUPTED)
    except CastlineError as exc:
        complain(str(exc))
        sys.exit(1)


if __name__ == "__main__":
    main()
