"""Place outgoing phone calls through Evo Voice from a terminal, a script or a cron job."""

__version__ = "0.1.0"
