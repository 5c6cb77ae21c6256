"""Write topics.grammar: 32 topics that drift into one another, each with 48 words of 96 in an order of its own.

python studies/floorbench/topics.py
"""

from pathlib import Path

import numpy as np

TOPICS, WORDS, VOCABULARY, NEXT = 32, 48, 96, 4
EXPONENT, TURN = 1.8, 1.0  # of how often words and next topics are used
ENDS = 0.15
HEAD = """\
# Topics that drift into one another: three words of a topic, then the end or one of four next topics.
# A reader must find the topic from few words and know the words of every topic. Written by topics.py.
"""


def main() -> None:
    """Write the grammar next to this file."""
    generator = np.random.default_rng(2605)
    lines = ["S -> " + " | ".join(f"T{i} [1/{TOPICS}]" for i in range(TOPICS))]
    for topic in range(TOPICS):
        words = generator.choice(VOCABULARY, WORDS, replace=False)
        after = generator.choice(TOPICS, NEXT, replace=False)
        lines.append(
            f"T{topic} -> W{topic} W{topic} W{topic} [{ENDS}]"
            + "".join(
                f" | W{topic} W{topic} W{topic} T{other} [{share:.5f}]"
                for other, share in zip(after.tolist(), shares(NEXT, TURN, 1 - ENDS), strict=True)
            )
        )
        weighted = zip(words.tolist(), shares(WORDS, EXPONENT, 1.0), strict=True)
        lines.append(f"W{topic} -> " + " | ".join(f"'w{word}' [{share:.5f}]" for word, share in weighted))
    Path(__file__).with_suffix(".grammar").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def shares(count: int, exponent: float, total: float) -> list[float]:
    """Return shares that fall as a power of their rank, to five digits, summing to `total`."""
    raw = np.arange(1, count + 1) ** -exponent
    found = np.round(total * raw / raw.sum(), 5)
    found[0] += total - found.sum()
    return [float(one) for one in found]


if __name__ == "__main__":
    main()
