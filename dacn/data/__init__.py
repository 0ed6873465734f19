"""Domains and pairs of them: the embedded pair, the real ones and the user's own."""
