"""Tokenizers of every kind give text back, fit their corpus or say that they do not, and never see what is held out."""

import io
import json
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadCorpus, InputError
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.sentencepiece_model import SentencePieceModel
from isoloss.corpus.sources import FilesSource
from isoloss.corpus.split import ranked
from isoloss.corpus.tokenizer_json import TokenizerJson, train_bpe
from isoloss.corpus.tokenizers import ByteTokenizer, Tokenizer, open_tokenizer

tokenizers = pytest.importorskip("tokenizers")
sentencepiece = pytest.importorskip("sentencepiece")

CONTEXT = 32
SYLLABLES = ["ka", "to", "mi", "ré", "shu", "ünd", "ba", "lo"]


def prose(seed: int, words: int) -> str:
    rng = random.Random(seed)
    made = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(60)]
    return " ".join(rng.choice(made) + rng.choice(["", "", ",", ".\n"]) for _ in range(words))


@pytest.fixture(scope="module")
def bpe() -> TokenizerJson:
    return train_bpe([prose(seed, 800).encode() for seed in range(4)], vocab_size=400)


@pytest.fixture(scope="module")
def sentences() -> SentencePieceModel:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(prose(1, 3000).split("\n")), model_writer=model, vocab_size=400, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    return SentencePieceModel(model.getvalue(), place="test")


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for i in range(40):
        (folder / f"{i}.txt").write_text(prose(i, 150), encoding="utf-8")
    return folder


def files(folder: Path, **keys) -> FilesSource:
    return FilesSource(name="prose", paths=(str(folder),), **keys)


# "▁" is SentencePiece's own sign for a blank, and a NUL makes a file binary.
anything = st.text(st.characters(exclude_characters="▁\0", exclude_categories=["Cs"]), max_size=60)


@given(text=anything)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_tokenizer_gives_back_any_text(text, bpe, sentences):
    for tokenizer in (ByteTokenizer(), bpe, sentences):
        assert isinstance(tokenizer, Tokenizer)
        ids = tokenizer.encode(text.encode())
        assert tokenizer.decode(ids) == text.encode()
        assert not ids.size or ids.max() < tokenizer.vocab_size


def test_special_tokens_in_a_text_are_text(bpe):
    marked = json.loads(bpe.content)
    marked["added_tokens"] = [{"id": 400, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False,
                               "normalized": False, "special": True}]  # fmt: skip
    tokenizer = TokenizerJson(json.dumps(marked).encode(), place="test")
    assert tokenizer.vocab_size == 401
    ids = tokenizer.encode(b"ka<|end|>to")
    assert ids.max() < 400
    assert tokenizer.decode(ids) == b"ka<|end|>to"


def test_training_is_the_same_in_another_process(bpe, tmp_path):
    code = (
        "import sys; from isoloss.corpus.tokenizer_json import train_bpe; sys.path.insert(0, sys.argv[1]);"
        "from test_corpus_tokenizers import prose;"
        "print(train_bpe([prose(seed, 800).encode() for seed in range(4)], vocab_size=400).identity)"
    )
    here = str(Path(__file__).parent)
    other = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == bpe.identity


def test_merges_follow_the_definition_of_byte_pair_encoding():
    # By hand: in "abab abab" + "abac", ab occurs five times, then abab twice; nothing else occurs twice.
    tokenizer = train_bpe([b"abab\n", b"abab\n", b"abac"], vocab_size=258)
    assert [tokenizer.decode(np.array([token])) for token in (256, 257)] == [b"ab", b"abab"]


@pytest.mark.parametrize("name", ["bpe", "json", "model"])
def test_bytes_per_token_are_bytes_over_tokens(name, texts, tmp_path, bpe, sentences):
    (tmp_path / "t.json").write_bytes(bpe.content)
    (tmp_path / "t.model").write_bytes(sentences._model.serialized_model_proto())
    spelled = {"bpe": "bpe:300", "json": "t.json", "model": "t.model"}[name]
    built = build(files(texts, tokenizer=spelled), root=tmp_path / "corpora", context=CONTEXT, base=tmp_path)
    opened = (
        open_tokenizer(str(built.folder / "tokenizer.json"))
        if name == "bpe"
        else {"json": bpe, "model": sentences}[name]
    )
    written = [path.read_bytes() for path in texts.iterdir()]
    expected = sum(map(len, written)) / sum(len(opened.encode(text)) for text in written)
    assert built.bytes_per_token == pytest.approx(expected, rel=1e-12)
    assert built.vocab_size == opened.vocab_size
    decoded = [opened.decode(built.train[a:b]) for a, b in zip(*pairs(built), strict=True)]
    assert set(decoded) <= set(written)


def pairs(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    offsets = corpus.documents("train")
    return offsets[:-1], offsets[1:]


def test_a_trained_tokenizer_knows_the_training_side_alone(texts, tmp_path):
    built = build(files(texts, tokenizer="bpe:300"), root=tmp_path / "corpora", context=CONTEXT)
    opened = open_tokenizer(str(built.folder / "tokenizer.json"))
    train = [opened.decode(built.train[a:b]) for a, b in zip(*pairs(built), strict=True)]
    assert len(train) == 32
    digests = [sha256(text).digest() for text in train]
    again = train_bpe([train[i] for i in ranked(digests, 0)], vocab_size=300)
    assert again.identity == opened.identity == built.tokenizer_identity
    moved = build(files(texts, tokenizer="bpe:300"), root=tmp_path / "again", context=CONTEXT)
    assert (moved.folder / "train.npy").read_bytes() == (built.folder / "train.npy").read_bytes()


def test_documents_too_short_in_tokens_leave_and_the_rest_stays_where_it_was(texts, tmp_path):
    long = build(files(texts, tokenizer="bpe:300"), root=tmp_path / "corpora", context=CONTEXT)
    lengths = np.diff(long.documents("train"))
    context = int(np.sort(lengths)[5]) + 1
    short = build(files(texts, tokenizer="bpe:300"), root=tmp_path / "corpora", context=context)
    assert short.tokenizer_identity == long.tokenizer_identity
    assert short.dropped["short"] >= 6


def test_compact_renumbers_the_ids_that_occur_and_keeps_their_meaning(texts, tmp_path, bpe):
    (tmp_path / "t.json").write_bytes(bpe.content)
    source = files(texts, tokenizer="t.json")
    plain = build(source, root=tmp_path / "corpora", context=CONTEXT, base=tmp_path)
    compact = build(
        source.model_copy(update={"compact": True}), root=tmp_path / "corpora", context=CONTEXT, base=tmp_path
    )
    assert compact.fingerprint != plain.fingerprint
    assert compact.compact_from == plain.vocab_size == 400
    vocabulary = np.load(compact.folder / "vocabulary.npy")
    assert len(vocabulary) == compact.vocab_size < 400
    for side in ("train", "heldout"):
        assert np.array_equal(vocabulary[compact.tokens(side)], plain.tokens(side))
    assert set(np.concatenate([compact.train, compact.heldout])) == set(range(compact.vocab_size))
    assert compact.bytes_per_token == plain.bytes_per_token


def word_level(**model) -> bytes:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"ka": 0, "[UNK]": 1}, **model))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer.to_str().encode()


def test_a_tokenizer_that_does_not_fit_its_corpus_is_an_error_that_says_how_badly(texts, tmp_path):
    (tmp_path / "t.json").write_bytes(word_level(unk_token="[UNK]"))
    with pytest.raises(BadCorpus, match=r"does not fit this text: \d+ of \d+ tokens are unknown") as caught:
        build(files(texts, tokenizer="t.json"), root=tmp_path / "corpora", context=CONTEXT, base=tmp_path)
    assert ".txt" in caught.value.place
    assert "bpe:4096" in caught.value.fix


def test_a_tokenizer_that_would_drop_characters_silently_is_refused():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, []))
    with pytest.raises(InputError, match="drop characters"):
        TokenizerJson(tokenizer.to_str().encode(), place="t.json")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("t.json", b"{}", "not a tokenizer.json"), ("t.json", b"\xff", "not a tokenizer.json"),
     ("t.model", b"abc", "not a SentencePiece model"), ("t.model", b"", "not a SentencePiece model"),
     ("nowhere.json", None, "cannot be read"), ("nowhere.model", None, "cannot be read"),
     ("bpe:4096", None, "trained on the training text")],
)  # fmt: skip
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        open_tokenizer(name, base=tmp_path)
    assert caught.value.place
    assert caught.value.fix


@pytest.mark.parametrize(("size", "said"), [(256, "more than the 256 bytes"), (60_000, "before no pair occurs twice")])
def test_a_vocabulary_that_cannot_be_trained_is_an_error(texts, tmp_path, size, said):
    with pytest.raises(InputError, match=said):
        build(files(texts, tokenizer=f"bpe:{size}"), root=tmp_path / "corpora", context=CONTEXT)
