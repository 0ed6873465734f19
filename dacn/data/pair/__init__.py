"""From the `data` part of a recipe to a pair of domains: sources, parts, splits, contexts."""
