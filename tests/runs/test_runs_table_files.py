"""Tables however they are written: what sets columns and digits apart, words for numbers, ends of lines."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadTable
from isoloss.runs import table_files
from isoloss.runs.archive import Archive
from isoloss.runs.columns import grouping_doubt
from isoloss.runs.imported import Mapped, import_runs
from isoloss.runs.read_runs import open_table, read_runs

CASES = Path(__file__).parents[3] / "shared" / "cases"
N = [20_000_000, 50_000_000, 1_300_000_000]
D = [400_000_000, 20_000_000_000, 1_000_000]
LOSS = [4.6308, 3.9, 2.64604]


def groups(number: int, mark: str) -> str:
    return f"{number:,}".replace(",", mark)


def comma(number: float) -> str:
    return repr(number).replace(".", ",")


WRITERS = {  # (how whole numbers are written, how fractions are, what delimiters may set them apart)
    "plain": (str, repr, ",;\t|"),
    "decimal comma": (str, comma, ";\t|"),
    "dots and decimal comma": (lambda n: groups(n, "."), comma, ";\t|"),
    "commas and decimal point": (lambda n: groups(n, ","), repr, ";\t|"),
    "spaces and decimal comma": (lambda n: groups(n, " "), comma, ";\t|"),
    "narrow spaces": (lambda n: groups(n, "\u202f"), comma, ";\t|"),
    "apostrophes": (lambda n: groups(n, "'"), repr, ",;\t|"),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), writer=st.sampled_from(sorted(WRITERS)))
def test_a_table_is_its_numbers_however_it_is_written(tmp_path, data, writer):
    whole, fraction, delimiters = WRITERS[writer]
    delimiter = data.draw(st.sampled_from(delimiters))
    n = data.draw(st.lists(st.integers(1_000_000, 10**12), min_size=2, max_size=6, unique=True))
    # A number of losses with other than three decimals among them leaves no doubt.
    losses = [2.5, *data.draw(st.lists(st.floats(0.1, 20), min_size=len(n) - 1, max_size=len(n) - 1))]
    losses = [round(loss, 4) for loss in losses]
    bom, end = data.draw(st.sampled_from(["", "\ufeff"])), data.draw(st.sampled_from(["\n", "\r\n"]))
    rows = [
        ["params", "tokens", "loss"],
        *([whole(a), whole(7 * a), fraction(loss)] for a, loss in zip(n, losses, strict=True)),
    ]
    path = tmp_path / ("runs.tsv" if delimiter == "\t" else "runs.csv")
    path.write_text(bom + "".join(delimiter.join(row) + end for row in rows), encoding="utf-8", newline="")
    found = read_runs(path, loss="loss")
    np.testing.assert_array_equal(found.params, n)
    np.testing.assert_array_equal(found.tokens, [7 * a for a in n])
    np.testing.assert_allclose(found.loss_nats, losses, rtol=1e-15)


@pytest.mark.parametrize(
    ("cells", "doubted"),
    [
        (["400", "1.000", "20.000"], True),
        (["1,234", "5,678"], True),
        (["1,234", "5"], True),
        (["1.234", "5.678"], False),  # thousandths throughout: decimals, as programs write them
        (["0.125", "1"], False),
        (["1.25", "3"], False),
        (["1.000.000", "400"], False),
        (["1.000", "x"], False),
        (["1,5", "2"], False),
        ([], False),
    ],
)
def test_marks_that_could_mean_two_things_are_doubted(cells, doubted):
    assert (grouping_doubt(cells) is not None) == doubted


def test_a_doubtful_column_is_refused_by_name_where_numbers_are_asked_of_it(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens_m,loss,note\n20000000,400,3,1.000\n50000000,1.000,2.5,7\n")
    for tokens in ("tokens_m", "tokens_m * 1e6"):
        with pytest.raises(BadTable, match=r"thousands or decimals") as caught:
            read_runs(path, loss="loss", tokens=tokens)
        assert "tokens_m" in caught.value.place
        with pytest.raises(BadTable, match=r"thousands or decimals"):
            import_runs(path, tmp_path / "out", Mapped(loss="loss", tokens=tokens))
    assert read_runs(path, loss="loss", tokens="params").tokens.tolist() == [2e7, 5e7]  # others do not matter


def test_a_name_that_looks_like_a_number_stays_a_name(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss,run,data\n1e6,1e8,3,10_000,1.2.3\n1e6,2e8,2.9,20_000,1.2.4\n")
    table = open_table(path)
    assert table["run"].to_pylist() == ["10_000", "20_000"]
    assert table["data"].to_pylist() == ["1.2.3", "1.2.4"]


def test_cells_may_hold_line_ends_and_delimiters(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text('params;tokens;loss;note\n1000000;"100000000";3,25;"one;\ntwo, three"\n2000000;2e8;3;x\n')
    found = open_table(path)
    assert found["note"].to_pylist() == ["one;\ntwo, three", "x"]
    assert found["loss"].to_pylist() == [3.25, 3.0]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_a_newline_ends_a_line_of_json(tmp_path, end):
    path = tmp_path / "runs.jsonl"
    rows = [{"params": n, "tokens": d, "loss": loss, "note": f"a{end}b"} for n, d, loss in zip(N, D, LOSS, strict=True)]
    path.write_text("\ufeff" + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert read_runs(path, loss="loss").params.tolist() == N
    assert len(import_runs(path, tmp_path / "out", Mapped(loss="loss")).rows) == 3


@pytest.mark.parametrize("word", ["NaN", "nan", "Infinity", "-Infinity", "inf"])
def test_words_for_numbers_that_are_none_leave_a_column_of_numbers(tmp_path, word):
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps({"a": a, "b": a}) + "\n" for a in (1.5, word, None, 2)))
    values = open_table(path)["a"].to_pylist()
    assert values[0] == 1.5
    assert not np.isfinite(values[1])
    assert values[2:] == [None, 2.0]


@pytest.mark.parametrize(
    ("line", "said"), [(b"{", "not JSON"), (b"[1]", "list"), (b'{"a": "\xff"}', "not JSON"), (b"[" * 100_000, "deeply")]
)
def test_a_broken_line_of_json_is_named(tmp_path, line, said):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b'{"params": 1}\n' + line + b"\n")
    for read in (lambda: open_table(path), lambda: import_runs(path, tmp_path / "out", Mapped())):
        with pytest.raises(BadTable, match=said) as caught:
            read()
        assert "line 2" in caught.value.place
    assert not (tmp_path / "out").exists()


def test_our_own_name_of_the_loss_is_found_by_its_first_word(tmp_path):
    text = "params,tokens,loss_nats\n1e6,1e8,3\n"
    assert read_runs(io_table(tmp_path, text), loss="loss").loss_nats.tolist() == [3.0]
    with pytest.raises(BadTable, match="no column 'los'"):
        read_runs(io_table(tmp_path, text), loss="los")


def io_table(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases of public reports are not here")
class TestCases:
    def test_separators_of_lines(self):
        plain = read_runs(CASES / "02-line-separators" / "plain.jsonl", loss="loss_nats")
        for name in ("u2028", "nel", "bom"):
            found = read_runs(CASES / "02-line-separators" / f"{name}.jsonl", loss="loss_nats")
            np.testing.assert_array_equal(found.loss_nats, plain.loss_nats)

    @pytest.mark.parametrize("name", ["semi.csv", "semi_dotthousand.csv", "quoted_de.csv", "tab_comma.tsv"])
    def test_decimal_commas(self, name):
        found = read_runs(CASES / "13-decimal-comma" / name)
        truth = 1.7 + 400 / found.params**0.34 + 410 / found.tokens**0.28
        np.testing.assert_allclose(found.loss_nats, truth, rtol=0.01)  # noise of .3 %
        assert len(found) == 25

    def test_dots_between_thousands(self):
        with pytest.raises(BadTable, match=r"'1\.000' is ambiguous"):
            read_runs(CASES / "13-decimal-comma" / "tab_million_dots.tsv", tokens="tokens_m * 1e6")


def test_an_archive_is_made_only_once_the_runs_are_read(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss\n1e6,1e8,3\n")
    with pytest.raises(BadTable):
        import_runs(path, tmp_path / "out", Mapped(loss="los"))
    assert not (tmp_path / "out").exists()
    import_runs(path, tmp_path / "out", Mapped(loss="loss"))
    assert Archive.stands_in(tmp_path / "out")


def test_rows_of_all_corpora_at_once_are_those_of_each(tmp_path):
    rows = "".join(f"{i + 1}e6,{3 - i / 100},{'bca'[i * i % 3]}\n" for i in range(30))
    (tmp_path / "runs.csv").write_text("params,loss,g\n" + rows)
    table = read_runs(tmp_path / "runs.csv", params="params", tokens="params * 20", loss="loss", corpus="g")
    found = table.by_corpus()
    assert list(found) == table.corpora
    for name, own in found.items():
        assert own.fingerprint == table.where(corpus=name).fingerprint
        assert own.rows.tolist() == table.where(corpus=name).rows.tolist()
    # A study in which no run is flagged fits its flagged runs again: none.
    assert table.select(np.zeros(len(table), dtype=bool)).by_corpus() == {}


@pytest.mark.parametrize("cells", [["612345.678", "1"], ["1.234", "612345"], ["0.5", "912345.25"]])
def test_numbers_between_thousands_and_millions_are_read_as_written(tmp_path, cells):
    (tmp_path / "runs.csv").write_text("params,loss\n" + "".join(f"{cell},2\n" for cell in [*cells, "7.5"]))
    table = open_table(tmp_path / "runs.csv")
    assert table["params"].to_pylist() == [*map(float, cells), 7.5]


@pytest.mark.parametrize("shape", ["records", "columns", "by_row", "lines"])
def test_an_exported_json_file_is_a_table(tmp_path, shape):
    rows = [{"n": n, "d": d, "loss": loss} for n, d, loss in zip(N, D, LOSS, strict=True)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    path = tmp_path / "runs.json"
    path.write_text({
        "records": json.dumps(rows, indent=1),
        "columns": json.dumps(columns),
        "by_row": json.dumps({name: dict(enumerate(cells)) for name, cells in columns.items()}),
        "lines": "\n".join(map(json.dumps, rows)),
    }[shape])  # fmt: skip
    table = read_runs(path, params="n", tokens="d", loss="loss")
    assert table.params.tolist() == N
    assert table.loss_nats.tolist() == LOSS


@pytest.mark.parametrize("text", ["3", '{"a": [1, 2], "b": [1]}', '[{"n": 1}, 5]', "[" * 100_000, '[{"n": 1}, {"n":'])
def test_json_that_is_no_table_is_refused(tmp_path, text):
    (tmp_path / "runs.json").write_text(text)
    with pytest.raises(BadTable):
        open_table(tmp_path / "runs.json")


def test_a_misspelt_name_with_a_slash_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "runs.csv").write_text("n,d,eval/loss\n1e7,1e9,3\n")
    with pytest.raises(BadTable) as refused:
        read_runs(tmp_path / "runs.csv", params="n", tokens="d", loss="val/loss")
    assert refused.value.fix.startswith("did you mean 'eval/loss'")


def test_blanks_around_names_are_no_part_of_them(tmp_path):
    (tmp_path / "runs.csv").write_text("n | d | loss\n1e7 | 1e9 | 3\n2e7 | 1e9 | 2.9\n")
    assert read_runs(tmp_path / "runs.csv", params="n", tokens="d", loss="loss").loss_nats.tolist() == [3, 2.9]


def test_a_table_in_utf_16_is_named_as_that(tmp_path):
    (tmp_path / "runs.csv").write_text("n,d,loss\n1e7,1e9,3\n", encoding="utf-16")
    with pytest.raises(BadTable, match="UTF-16"):
        read_runs(tmp_path / "runs.csv", params="n", tokens="d", loss="loss")


def test_a_name_in_other_letters_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "runs.csv").write_text(",N,D,Val Loss\n0,1e7,1e9,3\n")
    for asked, found in (("n", "'N'"), ("val_loss", "'Val Loss'")):
        with pytest.raises(BadTable) as refused:
            read_runs(tmp_path / "runs.csv", params="N", tokens="D", loss=asked)
        assert refused.value.fix.startswith(f"did you mean {found}? known: D, N, Val Loss")


def test_text_of_a_parquet_table_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "MOST_TEXT", 1 << 20)
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * 1000]))
    pq.write_table(pa.table({"params": [1e7] * 5000, "name": names}), tmp_path / "runs.parquet")
    with pytest.raises(BadTable, match="text of more"):
        open_table(tmp_path / "runs.parquet")


def test_a_name_as_long_as_a_text_is_no_name(tmp_path):
    (tmp_path / "runs.csv").write_text(f"n,d,loss,corpus\n1e7,1e9,3,{'x' * 5000}\n")
    with pytest.raises(BadTable, match="characters"):
        read_runs(tmp_path / "runs.csv", params="n", tokens="d", loss="loss", corpus="corpus")


ROWS = "".join(f"{n};{d};{str(loss).replace('.', ',')}\n" for n, d, loss in zip(N, D, LOSS, strict=True))


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_first_line_that_says_the_delimiter_is_obeyed(tmp_path, bom):
    for sign in ";|\t":
        text = f"{bom}sep={sign}\r\nparams;tokens;loss\n{ROWS}".replace(";", sign)
        assert read_runs(io_table(tmp_path, text), loss="loss").loss_nats.tolist() == LOSS


def test_columns_that_a_spreadsheet_left_empty_do_not_matter(tmp_path):
    text = "params;tokens;loss;;\n" + ROWS.replace("\n", ";;\n")
    table = open_table(io_table(tmp_path, text))
    assert table.column_names == ["params", "tokens", "loss", "__row__"]
    assert read_runs(tmp_path / "t.csv", loss="loss").params.tolist() == N


def test_a_title_above_the_names_of_columns_is_named_as_that(tmp_path):
    with pytest.raises(BadTable, match="no name") as refused:
        open_table(io_table(tmp_path, "Table 3;;\nparams;tokens;loss\n" + ROWS))
    assert "Table 3" in refused.value.message
    assert "titles" in refused.value.fix


def test_columns_set_apart_by_blanks_are_one_column_alone(tmp_path):
    with pytest.raises(BadTable, match="only one column"):
        open_table(io_table(tmp_path, "params tokens loss\n1e6 1e8 3\n2e6 1e8 2.9\n"))
    assert open_table(io_table(tmp_path, "val loss\n3\n2.9\n"))["val loss"].to_pylist() == [3, 2.9]
    assert open_table(io_table(tmp_path, "run name\nthe first\nsecond\n")).num_rows == 2


@pytest.mark.parametrize("word", ["n/a", "#N/A", "<NA>", "NA", "null"])
def test_words_for_nothing_are_empty_cells(tmp_path, word):
    text = f"params,tokens,loss\n1e6,1e8,3\n2e6,1e8,{word}\n"
    found = read_runs(io_table(tmp_path, text), loss="loss", where="loss IS NOT NULL")
    assert found.loss_nats.tolist() == [3]


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1.3B", 1.3e9), ("300B tokens", 3e11), ("1.3 billion", 1.3e9), ("70 million params", 7e7), ("2 trillion", 2e12),
     ("125M parameters", 1.25e8), ("5bn", 5e9), ("7 toks", 7), ("1e9 tokens", 1e9)],
)  # fmt: skip
def test_numbers_with_their_unit_in_words_are_read(tmp_path, cell, number):
    text = f"params,tokens,loss\n1e6,{cell},3\n"
    assert read_runs(io_table(tmp_path, text), loss="loss").tokens.tolist() == [number]
    (row,) = import_runs(tmp_path / "t.csv", tmp_path / "out", Mapped(loss="loss")).rows
    assert row["tokens"] == number


@pytest.mark.parametrize("cell", ["~50M", "7B (2 epochs)", "50x10^6", "3 apples", "B", "tokens", "1.3 B tokens B"])
def test_other_words_are_no_numbers(tmp_path, cell):
    with pytest.raises(BadTable, match="expected a number"):
        read_runs(io_table(tmp_path, f"params,tokens,loss\n1e6,{cell},3\n"), loss="loss")


def test_objects_in_rows_of_json_are_columns_with_points(tmp_path):
    rows = [{"config": {"n": n, "data": {"tokens": d}}, "summary": {"loss": loss}, "tags": {}} for n, d, loss in
            zip(N, D, LOSS, strict=True)]  # fmt: skip
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "runs.json").write_text(json.dumps(rows))
    for name in ("runs.jsonl", "runs.json"):
        found = read_runs(tmp_path / name, params="config.n", tokens="config.data.tokens", loss="summary.loss")
        assert (found.params.tolist(), found.tokens.tolist(), found.loss_nats.tolist()) == (N, D, LOSS)
    with pytest.raises(BadTable, match="summary.loss"):
        read_runs(tmp_path / "runs.jsonl", params="config.n", tokens="config.data.tokens", loss="loss")


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.json", "runs.csv"])
def test_text_of_windows_is_named_as_utf_16(tmp_path, name):
    (tmp_path / name).write_text('{"params": 1}\n', encoding="utf-16")
    for read in (lambda: open_table(tmp_path / name), lambda: import_runs(tmp_path / name, tmp_path / "out", Mapped())):
        with pytest.raises(BadTable, match="UTF-16"):
            read()


def test_a_table_of_windows_is_named_as_no_utf_8(tmp_path):
    (tmp_path / "t.csv").write_bytes("Größe;loss\n1e6;3\n".encode("cp1252"))
    with pytest.raises(BadTable, match="no UTF-8") as refused:
        open_table(tmp_path / "t.csv")
    assert "iconv" in refused.value.fix


@pytest.mark.parametrize("commas", [("0,020", "0,160", "0,640"), ("0,651", "0,702", "1,280")])
def test_a_leading_zero_says_that_the_comma_stands_before_decimals(tmp_path, commas):
    (tmp_path / "runs.csv").write_text("params;tokens;loss\n" + "".join(f"2e7;{cell};3,5\n" for cell in commas))
    table = read_runs(tmp_path / "runs.csv", loss="loss")
    np.testing.assert_allclose(table.tokens, [float(cell.replace(",", ".")) for cell in commas])


@pytest.mark.parametrize("formula", ["log(ppl)", "2 * LOG( ppl )", "log(abs(ppl))"])
def test_a_logarithm_without_its_base_is_refused(tmp_path, formula):
    (tmp_path / "runs.csv").write_text("params,tokens,ppl,catalog\n1e7,1e8,20.0,3.0\n")
    with pytest.raises(BadTable, match="base 10") as found:
        read_runs(tmp_path / "runs.csv", loss=formula)
    assert "ln(" in found.value.fix
    for clear, loss in (("ln(ppl)", np.log(20)), ("log10(ppl)", np.log10(20)), ("log(2, ppl)", np.log2(20))):
        assert read_runs(tmp_path / "runs.csv", loss=clear).loss_nats == pytest.approx(loss)


def test_a_formula_reads_text_with_suffixes_as_numbers(tmp_path):
    path = io_table(tmp_path, "params,active,tokens,loss\n7B,1B,20B tokens,3\n14B,2B,40B tokens,2.9\n")
    found = read_runs(path, loss="loss", flops="6 * active * tokens")
    assert found.flops.tolist() == [1.2e20, 4.8e20]
    by_name = read_runs(path, loss="loss", flops="(CASE WHEN active = '1B' THEN 1e20 ELSE 2e20 END)")
    assert by_name.flops.tolist() == [1e20, 2e20]
    with pytest.raises(BadTable, match="neither a column nor"):
        read_runs(path, loss="loss", flops="6 * activ * tokens")


def test_tokens_that_flops_tell_are_said_to_be_computed(tmp_path):
    path = io_table(tmp_path, "Model Size,Training FLOP,loss\n1e7,6e16,3\n2e7,6e17,2.9\n")
    with pytest.raises(BadTable, match="no column 'tokens'") as refused:
        read_runs(path, params="Model Size", flops="Training FLOP", loss="loss")
    formula = refused.value.fix.split("--tokens '")[1].split("'")[0]
    found = read_runs(path, params="Model Size", flops="Training FLOP", tokens=formula, loss="loss")
    assert found.tokens.tolist() == pytest.approx([1e9, 5e9])
