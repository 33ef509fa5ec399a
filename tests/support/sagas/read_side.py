"""The read side of the shop, built by the command line as its owner, and shown to others."""

from urllib.parse import urlsplit

from databases.catalogs import plain
from pages.command_line import ROOT, sagalog
from psycopg.sql import SQL, Identifier

from projections import projections


def build_read_side(database: str, *readers: str) -> None:
    """Build every projection of the shop, and let the roles of these addresses read their views."""
    for one in projections:
        ran = sagalog("--app-dir", str(ROOT), "--db", database, "projections", "rebuild", one.name)
        assert ran.code == 0, ran
    if not readers:
        return
    with plain(database) as connection:
        for one in projections:
            for view in one.sql.shown:
                for role in (urlsplit(one).username or "" for one in readers):
                    connection.execute(SQL("GRANT SELECT ON {} TO {}").format(Identifier(view), Identifier(role)))
