"""How the SQL of a projection is written for a generation and a driver; nothing is run."""

import pytest

from sagalog.errors import DefinitionError
from sagalog.projections.schema import parameters_in, physical, read_sql, written

TEXT = """
-- A comment with a {brace} and a :colon.
CREATE TABLE {orders} (
    a TEXT DEFAULT '{orders}; :x',
    b BIGINT
);
CREATE UNIQUE INDEX IF NOT EXISTS {orders_a} ON {orders} (a);
CREATE VIEW {open} AS SELECT * FROM {orders};

-- name: add
-- Says what it does.
INSERT INTO {orders} VALUES (:a, :b);

-- name: ask
SELECT CAST(:a AS TEXT), b::bigint, 'it''s :not {orders}', 10 % 3 FROM {orders} WHERE a = :a /* :no */
"""


def test_it_is_read_as_tables_and_statements() -> None:
    sql = read_sql(TEXT, "orders.sql")
    assert [(one.kind, one.name) for one in sql.made] == [
        ("TABLE", "orders"),
        ("INDEX", "orders_a"),
        ("VIEW", "open"),
    ]
    assert (sql.shown, sql.tables) == (("orders", "open"), ("orders",))
    assert set(sql.blocks) == {"add", "ask"}
    assert sql.parameters == {"add": frozenset({"a", "b"}), "ask": frozenset({"a"})}


def test_it_is_written_for_each_driver_and_generation() -> None:
    ask = read_sql(TEXT, "orders.sql").blocks["ask"]
    assert physical("orders", 3) == "orders_g3"
    assert written(ask, 3, False) == (
        "SELECT CAST(:a AS TEXT), b::bigint, 'it''s :not {orders}', 10 % 3 FROM orders_g3 WHERE a = :a /* :no */"
    )
    assert written(ask, 4, True) == (
        "SELECT CAST(%(a)s AS TEXT), b::bigint, 'it''s :not {orders}', 10 %% 3 FROM orders_g4 WHERE a = %(a)s /* :no */"
    )


@pytest.mark.parametrize(
    ("statement", "found"),
    [("SELECT :a, :b, :a", ("a", "b")), ("SELECT a::text", ()), ("SELECT ':a' -- :b", ()), ('SELECT ":a"', ())],
)
def test_only_what_is_a_parameter_is_one(statement: str, found: tuple[str, ...]) -> None:
    assert parameters_in(statement) == found


def test_the_digest_is_of_what_makes_the_tables_and_not_of_how_it_is_laid_out() -> None:
    one = read_sql(TEXT, "orders.sql")
    laid_out = read_sql(TEXT.replace("    a TEXT", "  a   TEXT"), "orders.sql")
    other_statement = read_sql(TEXT.replace("VALUES (:a, :b)", "VALUES (:b, :a)"), "orders.sql")
    other_table = read_sql(TEXT.replace("b BIGINT", "c BIGINT"), "orders.sql")
    assert one.digest == laid_out.digest == other_statement.digest != other_table.digest


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="add: expected each statement to have a name of its own, found several"):
        read_sql(TEXT + "\n-- name: add\nSELECT 1\n", "orders.sql")
