"""The privileges that a role needs on our tables in PostgreSQL, and the statements that grant them. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from sagalog.errors import InvalidIdentifier
from sagalog.harmless import harmless

# Since this server version there is a privilege to lock a table without changing its rows.
MAINTAIN_SINCE = 170_000
# To lock the log, any one of these is enough; only MAINTAIN allows no change of what was recorded.
LOCKS = ("UPDATE", "DELETE", "TRUNCATE")

# For a worker, and for starting sagas, publishing, resuming and redelivering. Rebuilding the tables from the log needs
# more, and is left to their owner.
WORKER: dict[str, tuple[str, ...]] = {
    "saga_schema": ("SELECT",),
    "saga_events": ("SELECT", "INSERT"),
    "saga_status": ("SELECT", "INSERT", "UPDATE"),
    "saga_steps": ("SELECT", "INSERT", "UPDATE"),
    "saga_workers": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "saga_messages": ("SELECT", "INSERT"),
    "saga_commands": ("SELECT", "INSERT", "UPDATE"),
    "saga_inbox": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "saga_consumers": ("SELECT", "INSERT", "UPDATE"),
    "saga_unmatched": ("SELECT", "INSERT", "UPDATE"),
    "saga_attributes": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "saga_jobs": ("SELECT", "INSERT", "UPDATE"),
    "saga_job_items": ("SELECT", "INSERT", "UPDATE"),
    "saga_history": ("SELECT",),
}
# What a worker needs that keeps projections; to make their tables it needs CREATE on the schema, too. No worker looks
# for these privileges when it opens the store, for most keep none.
PROJECTIONS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("saga_projections", "saga_projection_events"), ("SELECT", "INSERT", "UPDATE", "DELETE")
)
# What only people read: granted to everybody who is granted anything, and looked for by no worker, so that a role which
# was granted what an older version printed goes on.
FOR_PEOPLE: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("saga_actions", "saga_attempts", "saga_contract", "saga_tracking", *PROJECTIONS), ("SELECT",)
)
# What a session of an auditor has unless it says otherwise; the privileges hold whatever it says.
LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "'60s'",
    "idle_in_transaction_session_timeout": "'60s'",
    "lock_timeout": "'5s'",
}
SEQUENCES = {"saga_events_notification_id_seq": ("USAGE",)}
READER: dict[str, tuple[str, ...]] = dict.fromkeys(WORKER, ("SELECT",))


class Place(NamedTuple):
    """Where grants apply: a schema of a database, whether everybody may connect to it, and the server's version."""

    schema: str
    database: str
    everybody_connects: bool
    server_version: int


class Needed(NamedTuple):
    """A privilege on a table, a view or a sequence; `privilege` may list several, of which one is enough."""

    name: str
    privilege: str


def needed_on_tables(*, reads_only: bool, server_version: int) -> list[Needed]:
    """Return the privileges that a role needs, as `has_table_privilege` takes them."""
    granted = READER if reads_only else WORKER
    needed: list[Needed] = []
    for table, privileges in granted.items():
        needed += [Needed(table, privilege) for privilege in privileges]
        if table == "saga_events" and not reads_only:
            locks = (*LOCKS, "MAINTAIN") if server_version >= MAINTAIN_SINCE else LOCKS
            needed.append(Needed(table, ", ".join(locks)))
    return needed


def grants_for(role: str, place: Place, *, reads_only: bool) -> list[str]:
    """Return the statements that give a role what a worker needs, or, with `reads_only`, what a reader needs.

    Raises `InvalidIdentifier` for a name that cannot be a role: PostgreSQL would refuse it, or take it for everybody.
    """
    if role in ("", "public", "none") or "\0" in role:
        raise InvalidIdentifier(f"expected the name of a role, found {role!r}; grants are for a role of its own")
    to, schema = quoted(role), quoted(place.schema)
    statements = [f"GRANT USAGE ON SCHEMA {schema} TO {to};"]
    if not place.everybody_connects:
        statements.insert(0, f"GRANT CONNECT ON DATABASE {quoted(place.database)} TO {to};")
    for table, privileges in (
        {**READER, **FOR_PEOPLE} if reads_only else {**WORKER, **FOR_PEOPLE, **PROJECTIONS}
    ).items():
        if table == "saga_events" and not reads_only:
            lock = "MAINTAIN" if place.server_version >= MAINTAIN_SINCE else LOCKS[0]
            statements.append(_grant((*privileges, lock), f"TABLE {schema}.{quoted(table)}", to))
        else:
            statements.append(_grant(privileges, f"TABLE {schema}.{quoted(table)}", to))
    if not reads_only:
        statements += [
            _grant(privileges, f"SEQUENCE {schema}.{quoted(name)}", to) for name, privileges in SEQUENCES.items()
        ]
    return statements


def limits_for(role: str, place: Place) -> list[str]:
    """Return the statements by which the sessions of a role only read, and end in time, in this database."""
    return [
        f"ALTER ROLE {quoted(role)} IN DATABASE {quoted(place.database)} SET {name} = {value};"
        for name, value in LIMITS.items()
    ]


def quoted(name: str) -> str:
    """Return a quoted identifier that PostgreSQL reads as exactly this name, and that is safe to show."""
    if all(map(_is_seen, name)):
        return '"' + name.replace('"', '""') + '"'
    return 'U&"' + "".join(map(_escaped, name)) + '"'


def _grant(privileges: Sequence[str], on: str, to: str) -> str:
    return f"GRANT {', '.join(privileges)} ON {on} TO {to};"


def _escaped(character: str) -> str:
    if character in '"\\':
        return character * 2
    return character if _is_seen(character) else f"\\+{ord(character):06X}"


def _is_seen(character: str) -> bool:
    return character.isprintable() and harmless(character) == character
