"""What of a source is no part of a corpus, in words: records count it by reasons of one word."""

from collections.abc import Mapping

REASONS = {
    "short": "too short", "empty": "empty", "duplicate": "duplicates", "near_duplicate": "near duplicates",
    "other_language": "of another language", "not_utf8": "not UTF-8", "binary": "binary",
    "pointer": "pointers of Git LFS", "rows": "JSON rows under a plain name",
    "not_rows": "JSON without rows of text", "broken_row": "broken rows", "linked_folder": "links to folders",
    "same_file": "other paths to a file that is already counted", "no_file": "pipes, devices or links that lead "
    "nowhere",
    "beyond_limit": "beyond the limit of tokens", "heldout_tokens_unused": "held-out tokens not used",
}  # fmt: skip


def in_words(dropped: Mapping[str, int]) -> str:
    """Return what was left out and how often: "24 JSON without rows of text, 3 binary"; empty where nothing was."""
    return ", ".join(f"{count:,} {REASONS.get(reason, reason)}" for reason, count in dropped.items() if count)
