"""`python -m workers.models pull|list|path`: what `castline models` runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contracts.errors import CastlineError
from workers.models.settings import ModelSettings
from workers.models.store import ModelStore

DEFAULT_MODEL = "kokoro-onnx"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="castline models", description="Model files, checked by their sha256.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    pull = verbs.add_parser("pull", help="get what is missing")
    pull.add_argument("names", nargs="*", default=[DEFAULT_MODEL], metavar="NAME")
    pull.add_argument("--from", dest="local", type=Path, metavar="FOLDER", help="look here first")
    pull.add_argument("--verify", action="store_true", help="check what is here by sha256, too")
    listing = verbs.add_parser("list", help="what there is, and what of it is here")
    path = verbs.add_parser("path", help="the folder of a model that is here")
    path.add_argument("name", metavar="NAME")
    for verb in (pull, listing, path):
        verb.add_argument("--dir", type=Path, default=ModelSettings().model_dir, help="where files are kept")
    return parser


def main() -> int:
    """Exit status: 0, or 1 after one line on stderr."""
    arguments = _parser().parse_args()
    store = ModelStore(arguments.dir)
    try:
        match arguments.verb:
            case "pull":
                for name in arguments.names:
                    _pull(store, name, arguments.local, verify=arguments.verify)
            case "list":
                _list(store)
            case "path":
                sys.stdout.write(f"{store.path(arguments.name)}\n")
    except CastlineError as exc:
        sys.stderr.write(f"castline models: {exc}\n")
        return 1
    return 0


def _pull(store: ModelStore, name: str, local: Path | None, *, verify: bool) -> None:
    files = {f.path: f.size for f in store.model(name).files}
    total = sum(files[path] for path in store.missing(name, verify=verify))
    if total == 0:
        return
    # Not at the top: `castline up` pulls at every start, and mostly there is nothing to show.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total)
        store.pull(name, local=local, verify=verify, progress=lambda size: bar.advance(task, size))


def _list(store: ModelStore) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("model", "here", "MB", "licence", "what")
    for held in store.held():
        have = len(held.model.files) - len(held.missing)
        here = "yes" if not held.missing else f"{have} of {len(held.model.files)} files"
        table.add_row(held.name, here, f"{held.model.size / 1e6:.0f}", held.model.licence, held.model.title)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
