"""`evocall profile`: the TOML file, without an editor."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options

if TYPE_CHECKING:
    from evocall.model import Profile

app = typer.Typer(name="profile", help="Show and change the profile file, without an editor.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Profile", autocompletion=options.profile_names, show_default=False)
]


def _keys(incomplete: str) -> list[str]:
    from evocall.settings import NAMED, single

    names = [*sorted(single()), *(f"{table}." for table in NAMED)]
    return [name for name in names if name.startswith(incomplete)]


@app.command("list")
def list_profiles(json: options.JsonOption = False) -> None:
    """List the profiles; the default one is marked.

    Examples:

      evocall profile list

      evocall profile list --json
    """
    from evocall import paths, profiles
    from evocall.output import Screen, refuse_loss

    screen = Screen(as_json=json)
    config = profiles.load(paths.config_file())
    default = config.default_name()
    rows = [(p.name, p.username, p.base_url, p.flow, p.name == default) for p in config.profiles.values()]
    if json:
        keys = ("name", "username", "base_url", "flow", "default")
        screen.document([dict(zip(keys, row, strict=True)) for row in rows])
    elif not rows:
        screen.note(f"{config.path} has no profiles yet: evocall login makes one.")
    else:
        cells = [(("* " if mark else "  ") + name, user or "", url, flow or "") for name, user, url, flow, mark in rows]
        screen.table(("  profile", "username", "base_url", "flow"), cells)
    refuse_loss()


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            envvar="EVOCALL_PROFILE",
            help="Profile; the default one if left out",
            autocompletion=options.profile_names,
        ),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Show one profile with its defaults, the environment laid over it.

    Examples:

      evocall profile show

      evocall profile show production --json
    """
    from evocall import paths, profiles
    from evocall.output import Screen, refuse_loss

    screen = Screen(as_json=json)
    settings = _settings(profiles.load(paths.config_file()).choose(name))
    if json:
        screen.document(settings)
    else:
        screen.lines([(key, _text(value)) for key, value in _flat(settings) if value not in (None, (), {})])
    refuse_loss()


@app.command("set")
def set_key(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Such as flow, guard.hours or contacts.oncall", autocompletion=_keys)
    ],
    value: Annotated[str, typer.Argument(metavar="VALUE")],
    profile: options.ProfileOption = None,
) -> None:
    """Set one key of a profile and keep everything else in the file.

    Examples:

      evocall profile set flow alert

      evocall profile set contacts.oncall +18145550100 --profile production
    """
    from evocall import paths, phone, profiles
    from evocall.settings import typed_value

    path = paths.config_file()
    name = profile or profiles.load(path).default_name()
    keys = tuple(key.split(".", 1))
    if keys == ("region",):
        phone.check_region(value)
    profiles.set_value(path, ("profiles", name, *keys), typed_value(keys, value))


@app.command()
def use(name: NameArgument) -> None:
    """Make a profile the default.

    Examples:

      evocall profile use production

      evocall profile use default
    """
    from evocall import paths, profiles

    path = paths.config_file()
    profiles.load(path).choose(name)
    profiles.set_value(path, ("default_profile",), name)


@app.command()
def remove(name: NameArgument) -> None:
    """Take a profile out of the file; its password stays in the keyring until logout.

    Examples:

      evocall profile remove staging

      evocall profile remove production
    """
    from evocall import paths, profiles

    path = paths.config_file()
    config = profiles.load(path)
    if config.default_profile == name:
        profiles.remove_value(path, ("default_profile",))
    profiles.remove_value(path, ("profiles", name))


def _settings(profile: "Profile") -> dict[str, Any]:
    from evocall import places

    journal = profile.journal and places.without_password(profile.journal)
    return {key: value for key, value in asdict(profile).items() if key != "directory"} | {"journal": journal}


def _flat(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows = []
    for key, value in settings.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return rows


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
