"""SQL over a table of runs, which can reach nothing else."""

import re
from typing import Any

from isoloss.core.errors import MOST_NAMES, BadTable, nearest_few

ROW = "__row__"  # position of a row in its source, kept through conditions for messages
PASSED_OVER = b"isoloss.passed_over"  # what an archive's table says, in its metadata, of records that it leaves out
MOST_MEMORY = "1GB"  # of a query in addition to the table itself


def first_line(error: Exception) -> str:
    """Return the first line of what a library says of an error."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def query_table(table: Any, sql: str, *, place: str = "SQL") -> Any:
    """Run one SQL query over `table` as `runs`, with no access to files or network, and return an Arrow table.

    `place` is where the query was written, for errors.
    """
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect(":memory:")
    try:
        connection.register("runs", table)
        connection.execute(
            f"SET memory_limit = '{MOST_MEMORY}'; SET enable_external_access = false; SET lock_configuration = true"
        )
        relation = connection.sql(sql)
        if relation is None:
            raise BadTable("the statement returns no table", place=place, fix="write SELECT … FROM runs")
        found = relation.to_arrow_table()
        repeated = [column for column in found.column_names if found.column_names.count(column) > 1]
        if repeated:
            raise BadTable(f"two columns are called {repeated[0]!r}", place=place, fix="rename one of them: … AS other")
        return found
    except (duckdb.Error, pa.ArrowException, UnicodeError, RuntimeError, OverflowError) as error:
        known = [column for column in table.column_names if column != ROW]
        more = f" and {len(known) - MOST_NAMES:,} more" if known[MOST_NAMES:] else ""
        asked = re.search(r'column "([^"]+)"', str(error))
        listed = ", ".join(nearest_few(asked[1] if asked else "", known) if more else known) + more
        in_quotes = asked is not None and f'"{asked[1]}"' in sql
        quotes = f"put text in single quotes: '{asked[1]}'; " if asked and in_quotes else ""
        raise BadTable(first_line(error), place=place, fix=f"{quotes}columns of runs: {listed}") from error
    finally:
        connection.close()
