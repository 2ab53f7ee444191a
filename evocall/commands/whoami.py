"""`evocall whoami`."""

from evocall.commands import options


def whoami(
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show who the service says we are, and where the credential came from.

    Exits with 6 when the login has no role that may dial.

    Examples:

      evocall whoami --sandbox

      evocall whoami --sandbox --json
    """
    from evocall.output import Screen, trace
    from evocall.target import target
    from evocall.wording import SCHEMA

    screen = Screen(as_json=json, quiet=quiet)
    with target(profile, sandbox=sandbox) as there:
        credential = there.credential()
        with there.service(trace=trace if verbose else None) as service:
            identity = service.whoami()
    username = identity.username or credential.username
    identity.refuse_without_role(credential.username)
    if json:
        screen.document(
            {
                "schema": SCHEMA,
                "profile": there.profile.name,
                "base_url": there.profile.base_url,
                "username": username,
                "roles": identity.roles,
                "accounts": identity.accounts,
                "may_dial": identity.may_dial,
                "credential": credential.source,
                "error": None,
            }
        )
        return
    screen.lines(
        [
            ("user", username),
            ("roles", "not told by the service" if identity.roles is None else ", ".join(identity.roles)),
            ("accounts", ", ".join(identity.accounts) or "not told by the service"),
            ("host", there.profile.base_url),
            ("profile", there.profile.name),
            ("credential", credential.source),
        ]
    )
