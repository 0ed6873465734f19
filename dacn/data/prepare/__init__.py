"""Data sets that have no download of their own: built or arranged, one file a data set, on a few shared tools."""
