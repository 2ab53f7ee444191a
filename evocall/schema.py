"""The tables of a journal, in SQL that SQLite and PostgreSQL speak alike, and the steps to them from older versions."""

from evocall.errors import JournalError

# A host as `Profile.host` has it, from one as addresses were written; plain http was for this machine only.
HOST = """
    RTRIM(REPLACE(LOWER(CASE SUBSTR(host, LENGTH(host) - 3) WHEN ':443' THEN SUBSTR(host, 1, LENGTH(host) - 4)
    ELSE host END), '.:', ':'), '.:')
"""
MIGRATIONS = (
    """
    CREATE TABLE calls (
        id BIGINT PRIMARY KEY,
        state TEXT NOT NULL,
        holder TEXT NOT NULL,
        profile TEXT NOT NULL,
        base_url TEXT NOT NULL,
        host TEXT NOT NULL,
        username TEXT,
        number TEXT NOT NULL,
        flow TEXT NOT NULL,
        caller_id TEXT,
        once_key TEXT,
        campaign TEXT,
        attempt BIGINT NOT NULL,
        requested_at BIGINT NOT NULL,
        duration_ms BIGINT,
        http_status BIGINT,
        session_id TEXT,
        response TEXT,
        error TEXT
    );
    CREATE INDEX calls_by_key ON calls (profile, once_key) WHERE once_key IS NOT NULL;
    CREATE INDEX calls_by_number ON calls (number, requested_at);
    CREATE INDEX calls_by_time ON calls (profile, requested_at);
    CREATE INDEX calls_by_campaign ON calls (campaign, id) WHERE campaign IS NOT NULL;
    CREATE INDEX calls_open ON calls (state) WHERE state IN ('sending', 'waiting')
    """,
    """
    CREATE TABLE campaigns (
        name TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        flow TEXT,
        caller_id TEXT,
        begun_at BIGINT NOT NULL
    )
    """,
    """
    ALTER TABLE calls ADD COLUMN settled TEXT;
    ALTER TABLE calls ADD COLUMN ending TEXT;
    CREATE INDEX calls_by_session ON calls (session_id) WHERE session_id IS NOT NULL
    """,
    """
    CREATE TABLE purged (newest BIGINT NOT NULL);
    INSERT INTO purged (newest) VALUES (0)
    """,
    """
    CREATE TABLE campaigns_of_hosts (
        name TEXT NOT NULL,
        host TEXT NOT NULL,
        profile TEXT NOT NULL,
        flow TEXT,
        caller_id TEXT,
        begun_at BIGINT NOT NULL,
        holder TEXT,
        PRIMARY KEY (name, host)
    );
    INSERT INTO campaigns_of_hosts (name, host, profile, flow, caller_id, begun_at)
        SELECT DISTINCT campaigns.name, calls.host, campaigns.profile, campaigns.flow, campaigns.caller_id, begun_at
        FROM campaigns JOIN calls ON calls.campaign = campaigns.name;
    DROP TABLE campaigns;
    ALTER TABLE campaigns_of_hosts RENAME TO campaigns
    """,
    f"""
    UPDATE calls SET once_key = number || ' ' || LOWER(flow)
        WHERE campaign IS NOT NULL AND once_key = number || ' ' || flow
        AND LENGTH(flow) = 24 AND LTRIM(LOWER(flow), '0123456789abcdef') = '';
    UPDATE calls SET host = {HOST} WHERE host <> {HOST};
    INSERT INTO campaigns (name, host, profile, flow, caller_id, begun_at, holder)
        SELECT name, {HOST}, profile, flow, caller_id, begun_at, holder FROM campaigns WHERE host <> {HOST}
        ORDER BY begun_at
        ON CONFLICT DO NOTHING;
    DELETE FROM campaigns WHERE host <> {HOST}
    """,  # noqa: S608
)
VERSION = len(MIGRATIONS)


def steps_from(version: int, name: str) -> list[str]:
    """The statements that bring a journal of that version to this one; 0 is an empty database.

    Raises JournalError for one that a newer evocall has written.
    """
    if version > VERSION:
        raise JournalError(
            f"The journal {name} was written by a newer evocall (schema {version}; this one knows {VERSION}).",
            hint="Use the newer evocall; nothing was dialled.",
            code="journal_newer",
        )
    first = ["CREATE TABLE schema_version (version BIGINT NOT NULL)", "INSERT INTO schema_version (version) VALUES (0)"]
    steps = [statement for step in MIGRATIONS[version:] for statement in step.split(";")]
    now = f"UPDATE schema_version SET version = {VERSION}"  # noqa: S608
    return [*(first if version == 0 else []), *steps, now]
