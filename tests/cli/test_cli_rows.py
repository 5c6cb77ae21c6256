"""Whatever type a query gives, the JSON says it as JSON does."""

import json

import duckdb
import pytest

from isoloss.cli.rows import plain_rows


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("1.5::DECIMAL(10, 2)", 1.5),
        ("2::DECIMAL(10, 2)", 2),
        ("sum(n) FROM range(3) t(n)", 3),
        ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
        ("TIMESTAMP '2024-01-02 03:04:05.5'", "2024-01-02T03:04:05.500000"),
        ("TIMESTAMPTZ '2024-01-02 03:04:05+01'", "2024-01-02T02:04:05+00:00"),
        ("TIMESTAMP_NS '2024-01-02 03:04:05.123456789'", "2024-01-02T03:04:05.123456"),
        ("DATE '2024-01-02'", "2024-01-02"),
        ("TIME '03:04:05'", "03:04:05"),
        ("INTERVAL 36 HOUR", 129600),
        ("INTERVAL 1500 MILLISECOND", 1.5),
        ("INTERVAL 3 MONTH", {"months": 3, "days": 0, "seconds": 0}),
        ("[1.25::DECIMAL(4, 2), NULL]", [1.25, None]),
        ("{'at': DATE '2024-01-02', 'n': 'nan'::DOUBLE}", {"at": "2024-01-02", "n": None}),
        ("UUID '50df0ff8-4a3f-4771-bcb1-7b33d379436d'", "50df0ff8-4a3f-4771-bcb1-7b33d379436d"),
        ("MAP {'a': 1, 'b': 2}", {"a": 1, "b": 2}),
        ("MAP {1: 'x'}", {"1": "x"}),
        ("'ab'::BLOB", "YWI="),
        ("'x'::ENUM ('x', 'y')", "x"),
        ("'-inf'::FLOAT", None),
        ("NULL", None),
        ("[]", []),
    ],
)
def test_every_type_of_a_query_is_plain_json(sql, value):
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    head, _, rest = sql.partition(" FROM ")
    table = connection.sql(f"SELECT {head} AS found{' FROM ' + rest if rest else ''}").to_arrow_table()
    ((row,),) = [plain_rows(table)]
    assert json.loads(json.dumps(row, allow_nan=False)) == {"found": value}
