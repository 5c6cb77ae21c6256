"""Source code without its comments or its names: Python by its own tokenizer and parser, others by Pygments."""

import ast
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Iterator
from typing import Any, Literal

from isoloss.core.optional import optional

Language = Literal["python", "c", "cpp", "go", "java", "javascript", "rust"]

CUT = "\0"  # marks what was taken out; text that is read holds no NUL
NAME = "_"

# Python 3.12 looks into f-strings; what this module does must not depend on that.
FSTRING_START, FSTRING_END = (getattr(tokenize, name, None) for name in ("FSTRING_START", "FSTRING_END"))

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

Span = tuple[int, int]  # characters, from and to


def without_comments(content: bytes, language: Language) -> bytes | None:
    """Return code without comments, and without the lines that held nothing else; None where it is no such code.

    A comment within a line leaves a space. In Python a docstring leaves an empty one.
    """
    text = content.decode("utf-8")
    if language != "python":
        # A comment to the end of its line may bring the line end with it.
        parts = (CUT + "\n" * value.endswith("\n") if comment else value for value, comment, _ in _lex(text, language))
        return _tidy("".join(parts)).encode("utf-8")
    try:
        comments = [(*span, CUT) for span, kind, _ in _lex_python(text) if kind == tokenize.COMMENT]
        docstrings = [(*span, '""') for span in _docstrings(text)]
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError):
        return None
    return _tidy(_replaced(text, sorted(comments + docstrings))).encode("utf-8")


def without_identifiers(content: bytes, language: Language) -> bytes | None:
    """Return code with `_` for every name; None where it is no such code. Keywords stay.

    Names within strings stay, f-strings too. In C and C++ the names within preprocessor lines stay too (the lexer
    does not look into them), as do those of Rust's attributes. Except in Python line ends become line feeds.
    """
    text = content.decode("utf-8")
    if language != "python":
        return "".join(NAME if name else value for value, _, name in _lex(text, language)).encode("utf-8")
    try:
        names = [
            (*span, NAME)
            for span, kind, value in _lex_python(text)
            if kind == tokenize.NAME and not keyword.iskeyword(value)
        ]
    except (SyntaxError, tokenize.TokenError):
        return None
    return _replaced(text, names).encode("utf-8")


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    parts, end = [], 0
    for first, last, by in spans:
        parts += [text[end:first], by]
        end = last
    return "".join([*parts, text[end:]])


def _tidy(text: str) -> str:
    """Take out lines of nothing but cuts, cuts at a line's end with the blanks before, and put a space for others."""
    text = re.sub(rf"^[ \t]*(?:{CUT}[ \t]*)+(?:\n|\Z)", "", text, flags=re.MULTILINE)
    text = re.sub(rf"(?:[ \t]*{CUT})+[ \t]*$", "", text, flags=re.MULTILINE)
    return re.sub(f"{CUT}+", " ", text)  # one comment may be several tokens


def _lex_python(text: str) -> Iterator[tuple[Span, int, str]]:
    """Yield the span, kind and text of every token outside f-strings. Raises TokenError or SyntaxError."""
    starts, depth = _line_starts(text), 0
    for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
        (row, column), (end_row, end_column) = token.start, token.end
        depth += (token.type == FSTRING_START) - (token.type == FSTRING_END)
        if depth == 0 and end_row <= len(starts):
            yield (starts[row - 1] + column, starts[end_row - 1] + end_column), token.type, token.string


def _docstrings(text: str) -> list[Span]:
    """Return where the docstrings of a module, its classes and functions stand. Raises SyntaxError."""
    starts = _line_starts(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an escape sequence that is out of fashion is no concern of ours
        tree = ast.parse(text)
    documented: list[Any] = [node for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]
    found = [node.body[0].value for node in documented if _opens_with_text(node)]
    return [
        (
            _place(text, starts[value.lineno - 1], value.col_offset),
            _place(text, starts[value.end_lineno - 1], value.end_col_offset),
        )
        for value in found
    ]


def _opens_with_text(node: Any) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _line_starts(text: str) -> list[int]:
    """Return the character at which each line begins: lines end as the tokenizer and the parser end them."""
    starts = [0]
    starts += [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]
    return starts


def _place(text: str, line_start: int, utf8_bytes: int) -> int:
    """Return the character that lies so many bytes after a line's start: the parser counts columns in bytes."""
    line = text[line_start : line_start + utf8_bytes].encode("utf-8")[:utf8_bytes]
    return line_start + len(line.decode("utf-8"))


def _lex(text: str, language: Language) -> Iterator[tuple[str, bool, bool]]:
    """Yield the text of every token, and whether it is a comment, or a name."""
    lexers, token = (
        optional(f"pygments.{name}", extra="text", what=f"taking {language} apart", place="interventions")
        for name in ("lexers", "token")
    )
    for kind, value in lexers.get_lexer_by_name(language, stripnl=False, ensurenl=False).get_tokens(text):
        directive = kind in token.Comment.Preproc or kind in token.Comment.PreprocFile
        comment = kind in token.Comment or kind in token.String.Doc  # Rust's comments for documentation
        yield value, comment and not directive, kind in token.Name
