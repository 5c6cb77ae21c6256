"""`isoloss arena` as a user meets it."""

METHOD = """
class Flat:
    def predict(self, params, tokens): return 1 + 1 / params + 1 / tokens

def fit(table):
    if len(table.params) == 33: raise ValueError("no staircase")
    return Flat()
"""


def test_methods_are_scored_side_by_side_and_a_failure_is_said(isoloss, tmp_path):
    (tmp_path / "flat.py").write_text(METHOD)
    output = isoloss("arena", "flat.py", "--repeats", 1, "--json")
    assert output.code == 0
    (entry,) = output.json["entries"]
    simulated = entry["tracks"]["simulated"]
    assert simulated["statuses"] == {"ok": 10, "error": 5}
    assert simulated["loss_error_3"]["tables"] == 10
    assert entry["tracks"]["runs"]["floor_error"] == {"value": None, "tables": 0}


def test_a_file_that_is_not_there_is_the_callers_error(isoloss):
    output = isoloss("arena", "missing.py")
    assert output.code == 2
    assert "missing.py" in output.err
