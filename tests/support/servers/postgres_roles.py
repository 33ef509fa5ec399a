"""Roles of a PostgreSQL server for tests: made without any right, and removed with what they were granted."""

import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql


@contextmanager
def role_on(url: str, suffix: str = "") -> Generator[tuple[str, str]]:
    """Give the name of a new role, which ends with `suffix`, and the address by which it connects."""
    name, password = f"sagalog_{uuid.uuid4().hex[:12]}{suffix}", uuid.uuid4().hex
    role = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        try:
            yield name, with_user(url, name, password)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def with_user(url: str, name: str, password: str) -> str:
    """Return the address for another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(name, safe='')}:{password}@{place}"))


def in_schema(url: str, *schemas: str) -> str:
    """Return the address such that tables are made, and looked for, in these schemas."""
    listed = ",".join('"' + one.replace('"', '""') + '"' for one in schemas)
    escaped = re.sub(r"([\s\\])", r"\\\1", listed)
    return urlunsplit(urlsplit(url)._replace(query=f"options={quote('-csearch_path=' + escaped, safe='')}"))
