"""One recipe over values of its keys and over seeds: a grid of runs that can be killed and gone on with."""
