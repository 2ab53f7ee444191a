"""What is shown of a campaign on its way."""

import threading
from collections import Counter

from evocall import progress

COUNTS = Counter(placed=3, already_placed=1, not_placed=2, unknown=1)


def test_off_a_terminal_a_plain_line_tells_the_counts():
    """Every 30 seconds; here the time between two lines is shorter."""
    said = threading.Event()
    lines = []

    def say(line):
        lines.append(line)
        said.set()

    with progress.Lines(9, say, every=0.001) as shown:
        shown.show(COUNTS, 2)
        assert said.wait(30)
        said.clear()
        assert said.wait(30)
    assert lines[-1] == "7 of 9: 4 placed, 2 not placed, 1 unknown, 2 waiting"


def test_a_bar_tells_the_counts(capsys):
    """Also in a console that is no terminal, where rich draws it once at the end."""
    with progress.Bar(9) as shown:
        shown.show(COUNTS, 2)
        shown.note("a note [bold]as it is[/bold]")
    err = capsys.readouterr().err
    assert "7/9" in err
    assert "4 placed, 2 not placed, 1 unknown, 2 waiting" in " ".join(err.split())
    assert "a note [bold]as it is[/bold]" in err


def test_nothing_is_shown_when_quiet(capsys):
    with progress.Silent() as shown:
        shown.show(COUNTS, 2)
        shown.note("a note")
    assert capsys.readouterr() == ("", "")
