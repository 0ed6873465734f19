"""Existing networks: norm layers replaced, contexts threaded through, one context folded in."""
