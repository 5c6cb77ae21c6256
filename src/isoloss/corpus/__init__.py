"""Corpora: where tokens come from, how they are split by document, and the folder that holds them."""
