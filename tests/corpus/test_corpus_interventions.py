"""Interventions change what they name and nothing else, and leave the same documents held out."""

import ast
import json
import keyword
import random
import re
import sysconfig
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isoloss.core.errors import BadCorpus
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.gather import gzip_ratio
from isoloss.corpus.interventions import ShuffleLines, on_text
from isoloss.corpus.source_code import without_comments, without_identifiers
from isoloss.corpus.sources import FilesSource

CONTEXT = 32
STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """Sixty texts of random letters, a third each out of 2, 8 and 64 of them; an open question of each is its size."""
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)
    alphabet = [chr(code) for code in range(48, 112)]
    for i in range(60):
        letters = alphabet[: (2, 8, 64)[i % 3]]
        lines = ["".join(rng.choices(letters, k=60)) for _ in range(rng.randint(20, 90))]
        (folder / f"{i}.txt").write_text(f"{i % 3}{i:03}\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def plain(texts, tmp_path_factory) -> Corpus:
    return build(files(texts), root=tmp_path_factory.mktemp("corpora"), context=CONTEXT)


def files(folder: Path, **keys) -> FilesSource:
    return FilesSource.model_validate({"name": "letters", "paths": str(folder), **keys})


def changed(texts: Path, root: Path, *interventions: dict, **keys) -> Corpus:
    return build(files(texts, interventions=interventions, **keys), root=root, context=CONTEXT)


def documents(corpus: Corpus, side: str = "train") -> list[bytes]:
    tokens, offsets = corpus.tokens(side), corpus.documents(side)
    return [tokens[a:b].astype(np.uint8).tobytes() for a, b in pairwise(offsets)]


def test_noise_replaces_tokens_at_its_rate_and_evenly(texts, plain, tmp_path):
    noisy = changed(texts, tmp_path, {"kind": "noise", "rate": 0.1})
    for side in ("train", "heldout"):
        before, after = plain.tokens(side), noisy.tokens(side)
        assert len(before) == len(after)
        # One draw in 256 falls on the id that was there. Five standard errors.
        rate, n = 0.1 * 255 / 256, len(before)
        assert np.mean(before != after) == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / n))
    replaced = noisy.train[plain.train != noisy.train]
    counts = np.bincount(replaced, minlength=256)
    expected = len(replaced) / 256
    assert ((counts - expected) ** 2 / expected).sum() < 256 + 5 * np.sqrt(2 * 256)  # chi-square
    assert noisy.fingerprint != plain.fingerprint
    again = changed(texts, tmp_path / "again", {"kind": "noise", "rate": 0.1})
    assert np.array_equal(again.train, noisy.train)
    other = changed(texts, tmp_path, {"kind": "noise", "rate": 0.1, "seed": 1})
    assert other.fingerprint != noisy.fingerprint
    assert np.mean((other.train != plain.train) & (noisy.train != plain.train)) == pytest.approx(0.01, abs=0.002)


def test_relabelling_is_one_permutation_on_both_sides(texts, plain, tmp_path):
    relabelled = changed(texts, tmp_path, {"kind": "relabel"})
    meaning = dict(zip(plain.train.tolist(), relabelled.train.tolist(), strict=True))
    assert len(set(meaning.values())) == len(meaning)
    assert [meaning[token] for token in plain.heldout.tolist()] == relabelled.heldout.tolist()
    assert relabelled.unigram_nats == pytest.approx(plain.unigram_nats, rel=1e-12)
    assert np.mean(plain.train == relabelled.train) < 0.5


def test_relabelled_compact_ids_keep_their_meaning(texts, plain, tmp_path):
    both = changed(texts, tmp_path, {"kind": "relabel", "seed": 3}, compact=True)
    assert np.array_equal(np.load(both.folder / "vocabulary.npy")[both.train], plain.train)


def test_shuffled_lines_are_the_same_lines_in_the_same_documents(texts, plain, tmp_path):
    shuffled = changed(texts, tmp_path, {"kind": "shuffle_lines"})
    before, after = documents(plain), documents(shuffled)
    assert [Counter(text.splitlines()) for text in before] == [Counter(text.splitlines()) for text in after]
    assert sum(a == b for a, b in zip(before, after, strict=True)) == 0
    assert shuffled.bytes_per_token == plain.bytes_per_token


@given(st.lists(st.text("ab", max_size=3), max_size=8), st.booleans(), st.integers(0, 3))
def test_shuffling_loses_no_line(lines, ends, seed):
    content = ("\n".join(lines) + "\n" * ends).encode()
    step = ShuffleLines(kind="shuffle_lines", seed=seed)
    after = on_text(content, [step], digest=b"d")
    assert len(after) == len(content)
    assert Counter(after.split(b"\n")) == Counter(content.split(b"\n"))


def test_gzip_terciles_part_a_corpus_by_how_compressible_it_is(texts, tmp_path):
    parts = [changed(texts, tmp_path, {"kind": "gzip_tercile", "tercile": tercile}) for tercile in (1, 2, 3)]
    sizes = [part.source["bytes"] for part in parts]
    whole = sum(path.stat().st_size for path in texts.iterdir())
    assert sum(sizes) == whole
    assert max(sizes) - min(sizes) < 0.15 * whole  # a document is 5 % of a third
    held = [documents(part) for part in parts]
    assert not set(held[0]) & set(held[1]) | set(held[1]) & set(held[2])
    ratios = [[gzip_ratio(text) for text in texts_] for texts_ in held]
    assert max(ratios[0]) <= min(ratios[1]) <= max(ratios[1]) <= min(ratios[2])
    assert len({part.fingerprint for part in parts}) == 3


def test_the_same_documents_are_held_out_under_every_intervention(texts, plain, tmp_path):
    marks = {text[:4] for text in documents(plain)}
    shuffled = changed(texts, tmp_path, {"kind": "noise", "rate": 0.001}, {"kind": "shuffle_lines"})
    found = {mark for text in documents(shuffled) for mark in re.findall(rb"^[012]\d{3}$", text, re.MULTILINE)}
    assert len(found & marks) > 0.95 * len(marks)
    assert not found - marks


def python_sources() -> list[bytes]:
    return [path.read_bytes() for path in sorted(STANDARD_LIBRARY.glob("*.py"))[:60:4]]


def without_docstrings(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body[0] if node.body else None:
                case ast.Expr(value=ast.Constant(value=str()) as first):
                    first.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("source", python_sources(), ids=range(15))
def test_python_without_comments_is_the_same_program(source):
    bare = without_comments(source, "python")
    assert without_docstrings(ast.parse(bare)) == without_docstrings(ast.parse(source))
    assert len(bare) <= len(source)
    assert bare.count(b"#") <= source.count(b"#") / 4  # what is left stands in strings


@pytest.mark.parametrize("source", python_sources()[:5], ids=range(5))
def test_python_without_identifiers_holds_one_name(source):
    bare = without_identifiers(source, "python")
    tree = ast.parse(bare)
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    within = {id(part) for string in strings for part in ast.walk(string)}
    assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in within} == {"_"}
    kept = Counter(word for word in re.findall(rb"\b[a-z]+\b", source) if keyword.iskeyword(word.decode()))
    left = Counter(re.findall(rb"\b[a-z]+\b", bare))
    assert all(left[word] == count for word, count in kept.items())


PYTHON = '''"""Läng."""  # é
def f(a):  # one
    # alone
    "doc é"
    s = "# no comment"; b = 1  # ö

    return a
'''
C = """/* head */
#include <stdio.h> /* why */
// line
int main(void) { /* a */ char *s = "// no /* comment */"; return f(s); } // end
"""


def test_comments_go_with_their_lines_and_strings_stay():
    assert without_comments(PYTHON.encode(), "python").decode() == (
        '""\ndef f(a):\n    ""\n    s = "# no comment"; b = 1\n\n    return a\n'
    )
    assert without_comments(C.encode(), "c").decode() == (
        '#include <stdio.h>\nint main(void) {   char *s = "// no /* comment */"; return f(s); }\n'
    )


OTHERS = {  # a program, the same without comments, and without names too
    "cpp": (
        '#include <x> // why\ntemplate<class T> T f(T a) { auto s = R"(// raw)"; /* c */ return a; }\n',
        '#include <x>\ntemplate<class T> T f(T a) { auto s = R"(// raw)";   return a; }\n',
        '#include <x>\ntemplate<class _> _ _(_ _) { auto _ = R"(// raw)";   return _; }\n',
    ),
    "go": (
        'package main // m\n/* x */\nfunc f(a int) string { r := \'"\'; return `// raw` + "/* no */" }\n',
        'package main\nfunc f(a int) string { r := \'"\'; return `// raw` + "/* no */" }\n',
        'package _\nfunc _(_ int) string { _ := \'"\'; return `// raw` + "/* no */" }\n',
    ),
    "java": (
        "/** Doc. */\nclass X<T> { char c = '\"'; // a quote\n/* in */ int f(int y) { return this.g(y); } }\n",
        "class X<T> { char c = '\"';\n  int f(int y) { return this.g(y); } }\n",
        "class _<_> { char _ = '\"';\n  int _(int _) { return this._(_); } }\n",
    ),
    "javascript": (
        "// a\nconst f = (x) => `// ${x} /* no */`; let r = /\\/\\/[/*]/g; // end\n",
        "const f = (x) => `// ${x} /* no */`; let r = /\\/\\/[/*]/g;\n",
        "const _ = (_) => `// ${_} /* no */`; let _ = /\\/\\/[/*]/g;\n",
    ),
    "rust": (
        '//! Crate\n#[derive(Debug)]\n/// Of it\nfn f<\'a>(x: &\'a str) { /* a /* b */ */ let r = r#"// "x""#; }\n',
        '#[derive(Debug)]\nfn f<\'a>(x: &\'a str) {   let r = r#"// "x""#; }\n',
        '#[derive(Debug)]\nfn _<\'_>(_: &\'_ str) {   let _ = r#"// "x""#; }\n',
    ),
}


@pytest.mark.parametrize("language", OTHERS)
def test_comments_and_names_go_and_keywords_and_strings_stay(language):
    code, bare, nameless = OTHERS[language]
    without = without_comments(code.encode(), language)
    assert without.decode() == bare
    assert without_identifiers(without, language).decode() == nameless


def test_names_of_c_go_and_keywords_and_strings_stay():
    assert without_identifiers(C.encode(), "c").decode() == C.replace("main", "_").replace("*s", "*_").replace(
        "f(s)", "_(_)"
    )


def test_a_document_in_another_language_is_left_out_and_counted(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    for i in range(20):
        (code / f"{i}.py").write_text(f"value_{i} = {list(range(i, i + 30))}  # number {i}\n")
    (code / "old.py").write_text("print 'of another time', and 'of another kind', and 'some more of it'\n" * 3)
    built = changed(code, tmp_path / "corpora", {"kind": "remove_comments", "language": "python"})
    assert built.dropped["other_language"] == 1
    assert built.bytes_per_token == 1.0  # of the text as it is after the intervention
    assert all(b"#" not in text for text in documents(built))


def test_an_unknown_intervention_or_rate_is_an_error(texts):
    for wrong in (
        {"kind": "noize"},
        {"kind": "noise"},
        {"kind": "noise", "rate": 1.5},
        {"kind": "gzip_tercile", "tercile": 4},
    ):
        with pytest.raises(ValidationError):
            files(texts, interventions=[wrong])


def test_near_duplicates_are_removed_or_reported_by_side(tmp_path):
    folder, rng = tmp_path / "texts", random.Random(0)
    folder.mkdir()
    for i in range(60):
        words = [f"w{rng.randrange(3000)}" for _ in range(120)]
        (folder / f"{i}.txt").write_text(" ".join(words))
        if i < 30:
            (folder / f"{i}-again.txt").write_text(" ".join([*words, "and", "so", "on"]))
    plain = build(files(folder), root=tmp_path / "corpora", context=CONTEXT)
    assert plain.near_duplicates is None
    output = build(files(folder, near_duplicates="report"), root=tmp_path / "corpora", context=CONTEXT)
    assert output.fingerprint == plain.fingerprint  # telling changes no token
    # Sixty of ninety documents have a twin: each is on the other's side or not.
    found = output.near_duplicates
    assert (found.jaccard, found.removed) == (0.8, 0)
    assert found.within_train + found.within_heldout + 2 * found.across == 60
    assert found.across > 0
    clean = build(files(folder, near_duplicates="remove"), root=tmp_path / "corpora", context=CONTEXT)
    assert clean.near_duplicates.model_dump() == {
        "jaccard": 0.8, "removed": 30, "within_train": 0, "within_heldout": 0, "across": 0
    }  # fmt: skip
    assert clean.dropped["near_duplicate"] == 30
    moved = tmp_path / "moved"
    moved.mkdir()
    for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        (moved / f"{number:03}.txt").write_bytes(path.read_bytes())
    again = build(files(moved, near_duplicates="remove"), root=tmp_path / "b", context=CONTEXT)
    assert again.fingerprint == clean.fingerprint


def test_broken_lines_are_counted_and_skipped_only_on_request(tmp_path):
    path, rng = tmp_path / "rows.jsonl", random.Random(0)
    rows = [json.dumps({"text": " ".join(rng.choices(["up", "down", "left"], k=40))}).encode() for _ in range(40)]
    for line in (3, 11, 20):
        rows[line] = rows[line][:-3]
    rows[30] = b'{"text": "caf\xe9"}'
    path.write_bytes(b"\n".join(rows))
    with pytest.raises(BadCorpus, match=r"4 of 40 lines are broken \(line 4, 12, 21, 31\)") as caught:
        build(files(path), root=tmp_path / "corpora", context=CONTEXT)
    assert caught.value.place == f"{path}:4"
    assert "broken_rows" in caught.value.fix
    skipped = build(files(path, broken_rows="skip"), root=tmp_path / "corpora", context=CONTEXT)
    assert skipped.dropped["broken_row"] == 4
    assert skipped.source["documents"] == 36
