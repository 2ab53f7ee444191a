"""`evocall journal`: where calls are remembered."""

import re
from pathlib import Path
from typing import Annotated

import typer

from evocall.commands import options
from evocall.errors import UsageError

app = typer.Typer(name="journal", help="Carry the journal over to another place.", no_args_is_help=True)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A journal's file, or a database's URL")],
    target: Annotated[str, typer.Argument(metavar="TO", help="A database's URL, or a new file")],
    quiet: options.QuietOption = False,
) -> None:
    """Copy all calls and campaigns of one journal into another, empty one; all of them or none.

    Examples:

      evocall journal copy ~/.local/state/evocall/journal.db postgresql://evocall@db.example.com/evocall

      evocall journal copy journal.db copy.db --quiet
    """
    from evocall import copying
    from evocall.journal import Journal
    from evocall.output import Screen

    begin, end = _place(source), _place(target)
    if isinstance(begin, Path) and not begin.exists():
        raise UsageError(f"There is no journal {begin}.", hint="evocall doctor says where the journal is.")
    with Journal(begin) as old, Journal(end) as new:
        copied = copying.copy(old, new)
    Screen(quiet=quiet).note(f"{copied} calls copied to {new.name}.")


def _place(text: str) -> Path | str:
    from evocall import places

    if places.is_in_keywords(text) and "://" not in text:
        raise UsageError(f"A database is named by {places.WANTED}, and not by keywords.", hint=places.SPELLING)
    if not re.match(r"\w+:/|.*:.*@", text):
        return Path(text)
    if not places.is_url(text) or places.has_password(text):
        raise UsageError(
            f"A database is named by {places.WANTED}, without a password in it: everybody sees arguments.",
            hint="PGPASSWORD, ~/.pgpass or a service file can give the password.",
        )
    return text
