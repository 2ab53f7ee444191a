"""What scripts rely on, written down once for the tests."""

CALL_KEYS = [
    "schema",
    "outcome",
    "call",
    "number",
    "flow",
    "caller_id",
    "profile",
    "base_url",
    "requested_at",
    "http_status",
    "session_id",
    "response",
    "error",
    "settled",
    "ending",
]
