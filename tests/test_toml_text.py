"""One key of a TOML text changed, and everything else in it kept."""

import tomllib

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from evocall import toml_text

FILE = """\
# who may be rung, and by whom
default_profile = "production"   # the one for cron

[profiles.production]
base_url = "https://evovoice.io"        # staging is https://team.evovoice.io
username = "ops@example.com"

# limits
[profiles.production.guard]
countries = ["US", "CA"]                # anything else is refused

  # the contacts
  [profiles.production.contacts]
  oncall = "+18144043093"

# for trying things out
[profiles.staging]
username = "me@example.com"
"""

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["a", "b", "profiles", "a.b", "#", "[a]", '"', "'", "x = 1"]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(texts, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans(), st.datetimes())
values = st.recursive(
    st.one_of(scalars, st.lists(scalars, max_size=3)),
    lambda inner: st.one_of(st.dictionaries(names, inner, max_size=3), st.lists(inner, max_size=2)),
    max_leaves=8,
)
documents = st.dictionaries(names, values, max_size=4)
comments = st.sampled_from(["", "# a comment", "   # [profiles.x]", '# flow = "x"', "#\ttab", "# \u2028 ü €"])


def paths(table, prefix=()):
    """Every key of the document, those of the tables inside it included."""
    for key, value in table.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths(value, (*prefix, key))


def with_change(document, keys, value):
    """The values of the document after the change, worked out without any text."""
    first, *rest = keys
    if rest:
        return {**document, first: with_change(document.get(first, {}), rest, value)}
    if value is None:
        return {key: kept for key, kept in document.items() if key != first}
    return {**document, first: value}


def exactly(value):
    """The value so that true, 1 and 1.0 differ."""
    if isinstance(value, dict):
        return {key: exactly(entry) for key, entry in value.items()}
    return [exactly(entry) for entry in value] if isinstance(value, list) else (type(value).__name__, value)


@st.composite
def commented_files(draw):
    """A document, and a text for it with comments and blank lines between its lines."""
    document = draw(documents)
    lines = []
    for line in tomli_w.dumps(document).split("\n"):
        lines += [*draw(st.lists(comments, max_size=1)), line]
    return document, "\n".join(lines)


@settings(database=None, deadline=None)
@given(commented_files(), st.data())
def test_a_change_means_exactly_that_change(file, data):
    """Whatever the file looks like: the one key has the new value, and all others have theirs."""
    document, text = file
    assert exactly(toml_text.parse(text)) == exactly(document)
    tables = [(), *(path for path in paths(document) if isinstance(_at(document, path), dict))]
    keys = (*data.draw(st.sampled_from(tables)), *data.draw(st.lists(names, min_size=1, max_size=2)))
    if len(keys) > 1 and not isinstance(_at(document, keys[:-1]), dict | None):
        keys = keys[:-1]
    value = data.draw(scalars | st.lists(texts, max_size=2))
    changed = toml_text.changed(text, keys, value)
    assert exactly(tomllib.loads(changed)) == exactly(with_change(document, keys, value))


@settings(database=None, deadline=None)
@given(commented_files(), st.data())
def test_a_removal_takes_out_exactly_that_key(file, data):
    """A key or a whole table, and nothing beside it."""
    document, text = file
    keys = data.draw(st.sampled_from([*paths(document), ("never there", "x")]))
    if keys[0] == "never there":
        with pytest.raises(KeyError):
            toml_text.changed(text, keys, None)
        return
    changed = toml_text.changed(text, keys, None)
    assert exactly(tomllib.loads(changed)) == exactly(with_change(document, keys, None))


def _at(document, keys):
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def test_a_set_value_changes_its_line_only():
    old = 'username = "ops@example.com"'
    changed = toml_text.changed(FILE, ("profiles", "production", "username"), "cron@example.com")
    assert changed == FILE.replace(old, 'username = "cron@example.com"')


@pytest.mark.parametrize(
    ("keys", "value", "old", "new"),
    [
        (("default_profile",), "staging", 'default_profile = "production"', 'default_profile = "staging"'),
        (("profiles", "production", "base_url"), "https://a.b", '"https://evovoice.io"', '"https://a.b"'),
    ],
)
def test_a_comment_behind_a_changed_value_stays(keys, value, old, new):
    """What the documented example file says behind each key is still there after the key is set."""
    changed = toml_text.changed(FILE, keys, value)
    comment = next(line for line in FILE.splitlines() if old in line).partition("#")[2]
    [line] = [line for line in changed.splitlines() if new in line]
    assert line.partition("#")[2] == comment


@pytest.mark.parametrize(
    ("keys", "after", "line"),
    [
        (("profiles", "staging", "flow"), 'username = "me@example.com"', 'flow = "x"'),
        (("profiles", "production", "flow"), 'username = "ops@example.com"', 'flow = "x"'),
        (("profiles", "production", "contacts", "the boss"), '  oncall = "+18144043093"', '"the boss" = "x"'),
    ],
)
def test_a_new_key_stands_behind_the_last_of_its_table(keys, after, line):
    changed = toml_text.changed(FILE, keys, "x")
    assert changed == FILE.replace(f"{after}\n", f"{after}\n{line}\n")


def test_a_new_table_stands_at_the_end():
    changed = toml_text.changed(FILE, ("profiles", "my phone", "username"), "x")
    assert changed == FILE + '\n[profiles."my phone"]\nusername = "x"\n'


def test_the_first_key_of_an_empty_text_needs_no_blank_line():
    assert toml_text.changed("", ("profiles", "default", "flow"), "x") == '[profiles.default]\nflow = "x"\n'


def test_a_key_of_the_top_stands_above_the_tables():
    text = '[profiles.a]\nflow = "x"\n'
    assert toml_text.changed(text, ("default_profile",), "a") == f'default_profile = "a"\n{text}'


def test_a_removed_table_takes_its_own_tables_along():
    """And leaves what is said above the next one."""
    changed = toml_text.changed(FILE, ("profiles", "production"), None)
    assert tomllib.loads(changed) == {
        "default_profile": "production",
        "profiles": {"staging": {"username": "me@example.com"}},
    }
    assert "# who may be rung, and by whom\n" in changed
    assert "# for trying things out\n[profiles.staging]\n" in changed


def test_a_removed_key_leaves_its_neighbours():
    changed = toml_text.changed(FILE, ("profiles", "production", "guard", "countries"), None)
    assert changed == FILE.replace('countries = ["US", "CA"]                # anything else is refused\n', "")


@pytest.mark.parametrize("separator", ["\u2028", "\x85"], ids=["line-separator", "next-line"])
def test_a_strange_separator_in_a_value_does_not_cost_the_comments(separator):
    """TOML ends lines at LF and CRLF only; others may come along with pasted text."""
    quoted = tomli_w.dumps({"oncall": f"a{separator}b"})
    text = f'# keep me\n[contacts]\n{quoted}[flows]\nalert = "1"\n'
    assert toml_text.changed(text, ("flows", "alert"), "2") == text.replace('"1"', '"2"')


def test_text_that_looks_like_a_setting_inside_a_string_is_left_alone():
    """The line of a multi-line string may look like any other."""
    text = 'note = """\n[profiles.a]\nflow = "in the text"\n"""\n[profiles.a]\nflow = "x"\n'
    changed = tomllib.loads(toml_text.changed(text, ("profiles", "a", "flow"), "y"))
    assert changed == {"note": '[profiles.a]\nflow = "in the text"\n', "profiles": {"a": {"flow": "y"}}}


@pytest.mark.parametrize(
    "text",
    [
        'profiles.a.flow = "x"\nprofiles.a.username = "me"\n',
        'profiles = { a = { flow = "x", username = "me" } }\n',
        '[profiles]\na = { flow = "x", username = "me" }\n',
        '[profiles.a]\nflow = """\nx"""\nusername = "me"\n',
        '[profiles."a"]\n"flow" = \'x\'\nusername = "me"\n',
        '[ profiles . a ]\nflow="x"\nusername="me"\n',
        '[profiles.a]\r\nflow = "x"\r\nusername = "me"\r\n',
    ],
    ids=["dotted", "inline", "half-inline", "multi-line", "quoted", "spaced", "crlf"],
)
def test_every_way_of_writing_a_table_can_be_changed(text):
    changed = tomllib.loads(toml_text.changed(text, ("profiles", "a", "flow"), "y"))
    assert changed == {"profiles": {"a": {"flow": "y", "username": "me"}}}


@pytest.mark.parametrize(
    ("where", "key", "line"),
    [
        ((), "default_profile", 2),
        (("profiles", "production"), "base_url", 5),
        (("profiles", "production"), "guard", 9),
        (("profiles", "production", "guard"), "countries", 10),
        (("profiles", "production", "contacts"), "oncall", 14),
        (("profiles",), "staging", 17),
        (("profiles", "staging"), "flow", None),
    ],
)
def test_finds_the_line_of_a_key(where, key, line):
    assert toml_text.line_of(FILE, where, key) == line


def test_a_mistake_is_named_with_its_line():
    with pytest.raises(ValueError, match="line 2"):
        toml_text.parse('a = 1\nb = "\n')
