"""How fast evocall is: one table, all its ratios from one run. `python benchmarks`, on Linux or macOS."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import campaign
import journal
import million
import pace
import startup
import table
from place import QUICK, Place, Scale, httpie, machine, versions
from service import Service

SECTIONS = {
    "startup": startup.rows,
    "journal": journal.rows,
    "campaign": campaign.rows,
    "pace": pace.rows,
    "million": million.rows,
}
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def main() -> None:
    """Measure, and print the table."""
    options = _options()
    scale = QUICK if options.quick else Scale()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.directory.resolve()) as directory, Service() as service:
        place = Place(Path(directory), service, scale, httpie(options.httpie))
        rows = [row for name in options.only or SECTIONS for row in SECTIONS[name](place)]
    if sys.stderr.isatty():
        print(end="\r\x1b[K", file=sys.stderr)
    notes = [
        f"{machine()}; load {load:.1f} before and {os.getloadavg()[0]:.1f} after",
        ", ".join(versions(place)),
        f"start-up: median of {scale.rounds} rounds; campaign: median of {scale.repetitions}; a million rows: once",
        *(f"left out: {what}" for what in place.left_out),
    ]
    if options.into:
        _put(options.into, table.markdown(rows, notes))
    else:
        print((table.markdown if options.markdown else table.plain)(rows, notes), end="")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, calls and rows: half a minute")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="one section; may be given again")
    parser.add_argument("--httpie", metavar="PATH", help="HTTPie's http, or the Python in which it is installed")
    parser.add_argument(
        "--directory", metavar="PATH", type=Path, default=".", help="on whose disk journals are written"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--into", metavar="FILE", type=_page, help="put the Markdown into FILE, between its marks")
    return parser.parse_args()


def _page(name: str) -> Path:
    """A file with the two marks; one without is refused before everything is measured."""
    path = Path(name)
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise argparse.ArgumentTypeError(f"{name} has no lines {BEGIN} and {END}")
    return path


def _put(file: Path, text: str) -> None:
    """Replace what stands between the two marks."""
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
