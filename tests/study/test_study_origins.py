"""Which corpora of a study are of one source, from the records that corpora carry."""

from types import SimpleNamespace

from isoloss.study.origins import sources


def corpus(**record):
    return SimpleNamespace(source=record)


def files(*paths, **more):
    return {"kind": "files", "paths": list(paths), **more}


def test_interventions_on_one_text_are_one_source_and_other_texts_are_not():
    found = sources({
        "python": corpus(**files("lib/**/*.py")),
        "bare": corpus(**files("lib/**/*.py", interventions=[{"kind": "remove_comments"}])),
        "prose": corpus(**files("books/*.txt")),
        "web": corpus(kind="datasets", dataset="c4", config="en"),
        "german": corpus(kind="datasets", dataset="c4", config="de"),
        "easy": corpus(kind="pcfg", grammar="grammar1-abc", seed=1),
        "again": corpus(kind="pcfg", grammar="grammar1-abc", seed=2),
        "hard": corpus(kind="pcfg", grammar="grammar1-def", seed=1),
    })  # fmt: skip
    assert found == {
        "python": "python", "bare": "python", "prose": "prose", "web": "web", "german": "german", "easy": "easy",
        "again": "easy", "hard": "hard",
    }  # fmt: skip


def test_a_mixture_binds_its_parts_whatever_the_order():
    parts = [{"source": files("lib/**/*.py")}, {"source": files("books/*.txt")}]
    corpora = {
        "python": corpus(**files("lib/**/*.py")),
        "other": corpus(**files("other/*.txt")),
        "prose": corpus(**files("books/*.txt")),
        "both": corpus(kind="mixture", parts=parts),
    }
    found = sources(corpora)
    assert found == {"python": "python", "other": "other", "prose": "python", "both": "python"}
    turned = sources(dict(reversed(corpora.items())))
    assert turned["both"] == turned["python"] == turned["prose"] != turned["other"]


def test_a_corpus_without_a_record_is_its_own_source():
    assert sources({"a": corpus(), "b": corpus()}) == {"a": "a", "b": "b"}
