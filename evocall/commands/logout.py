"""`evocall logout`."""

from evocall.commands import options


def logout(profile: options.ProfileOption = None, quiet: options.QuietOption = False) -> None:
    """Forget the password that login stored in the keyring.

    Examples:

      evocall logout

      evocall logout --profile production
    """
    from evocall import keychain, paths, profiles
    from evocall.output import Screen

    screen = Screen(quiet=quiet)
    chosen = profiles.load(paths.config_file()).choose(profile)
    gone = keychain.forget(chosen)
    who = f"{chosen.username or 'nobody'} at {chosen.base_url}"
    screen.note(f"the password of {who} is gone from the keyring." if gone else f"no password of {who} was stored.")
