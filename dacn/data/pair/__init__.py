"""From the `data` part of a recipe to a pair of domains: sources, parts, splits, contexts.

May import `data.known`, `data.read` and `data.classes`.
"""
