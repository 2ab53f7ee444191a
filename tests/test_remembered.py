"""Names of flows for TAB: kept beside the journal, for a profile at its host, and never worth an error."""

import json
from pathlib import Path

import pytest

from evocall import paths, remembered
from evocall.model import Profile

EVO = "https://evovoice.io"
HERE = Path()  # where the profile file is; the sandbox's profile has none
PROFILE = Profile("production", EVO, directory=HERE)
DAMAGES = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"7",
    b"{}",
    b'{"host": "evovoice.io"}',
    b'{"flows": ["a"]}',
    b'{"host": "evovoice.io", "flows": null}',
    b'{"host": "evovoice.io", "flows": 7}',
    b'{"host": "evovoice.io", "flows": [7, null, ["a"], {"a": "b"}]}',
    b"[" * 100_000,
]


def test_nothing_is_recalled_of_what_was_never_seen():
    assert list(remembered.recalled(PROFILE)) == []


def test_the_names_seen_last_come_first_and_each_once():
    remembered.remember(PROFILE, ["a", "b", "a"])
    remembered.remember(PROFILE, ["c", "b"])
    assert list(remembered.recalled(PROFILE)) == ["c", "b", "a"]


def test_the_names_seen_first_are_forgotten_when_there_are_too_many():
    remembered.remember(PROFILE, map(str, range(1000)))
    remembered.remember(PROFILE, ["new"])
    assert list(remembered.recalled(PROFILE)) == ["new", *map(str, range(999))]
    remembered.remember(PROFILE, map(str, range(10_000, 20_000)))
    assert list(remembered.recalled(PROFILE)) == [str(n) for n in range(10_000, 11_000)]


@pytest.mark.parametrize("name", ["Tag & Nacht", 'quo"ted', "日本", "a\nb", "\udce9", "../../x", "\x00"])
def test_any_name_is_recalled_as_it_was(name):
    """Of a flow, or of a profile, which names the file."""
    remembered.remember(PROFILE, [name])
    assert list(remembered.recalled(PROFILE)) == [name]


@pytest.mark.parametrize("name", ["../../escape", "a/b", "Ä", ".", "..", "con"])
def test_a_profile_may_be_called_anything(home, name):
    """Its names stay where names are kept."""
    profile = Profile(name, EVO, directory=HERE)
    remembered.remember(profile, ["a"])
    assert list(remembered.recalled(profile)) == ["a"]
    assert [file.parent for file in home.rglob("*.json")] == [home / "evocall" / "names"]


def test_a_rehearsal_leaves_no_names(home):
    """A profile of the file may be called like the sandbox's."""
    remembered.remember(Profile("sandbox", "http://127.0.0.1:8080"), ["a"])
    assert list(home.rglob("*.json")) == []


def test_profiles_have_their_own_names():
    remembered.remember(PROFILE, ["a"])
    assert list(remembered.recalled(Profile("staging", EVO, directory=HERE))) == []


def test_a_profile_that_has_moved_has_seen_nothing_there():
    """Another service has other flows; those of the old one are forgotten when the new one's are seen."""
    moved = Profile("production", "https://team.evovoice.io", directory=HERE)
    remembered.remember(PROFILE, ["a"])
    assert list(remembered.recalled(moved)) == []
    remembered.remember(moved, ["b"])
    assert list(remembered.recalled(moved)) == ["b"]
    assert list(remembered.recalled(PROFILE)) == []


def test_the_file_is_for_its_owner_alone_and_no_other_is_left(home):
    remembered.remember(PROFILE, ["a"])
    remembered.remember(PROFILE, ["b"])
    (file,) = (home / "evocall" / "names").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(file.read_text()) == {"host": "evovoice.io", "flows": ["b", "a"]}


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_file_is_as_good_as_none_and_mended_by_the_next_names(content):
    file = paths.names_file("production")
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert list(remembered.recalled(PROFILE)) == []
    remembered.remember(PROFILE, ["a"])
    assert list(remembered.recalled(PROFILE)) == ["a"]


def test_a_place_that_cannot_be_written_to_is_no_error(home):
    """Here something else is in the place of the directory, and of the file."""
    (home / "evocall").mkdir()
    (home / "evocall" / "names").write_text("mine")
    remembered.remember(PROFILE, ["a"])
    assert (home / "evocall" / "names").read_text() == "mine"
    (home / "evocall" / "names").unlink()
    paths.names_file("production").mkdir(parents=True)
    remembered.remember(PROFILE, ["a"])
    assert list(remembered.recalled(PROFILE)) == []
    assert list((home / "evocall" / "names").iterdir()) == [paths.names_file("production")]
