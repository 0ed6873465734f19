"""The recipe: its tree, its YAML, its errors."""
