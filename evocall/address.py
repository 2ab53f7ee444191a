"""Which addresses a password may travel to."""

from urllib.parse import urlsplit

from evocall.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether the host can only be this machine (RFC 6761 for the name, RFC 5735 and 4291 for the addresses)."""
    if host.lower() == "localhost":
        return True
    if host[:1].isalpha() and ":" not in host:
        return False
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_plain_http(base_url: str) -> None:
    """Raise ConfigError for an address to which the password would travel in the clear."""
    parts = urlsplit(base_url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{base_url} is plain http: the password would travel in the clear.",
            hint="Use https; plain http is for a sandbox on this machine.",
            code="plain_http",
        )
