"""A trained network in use: loaded, asked for predictions, exported."""
