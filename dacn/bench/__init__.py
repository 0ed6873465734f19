"""Benchmarks: how fast dacn is on this machine, as ratios of what runs side by side in one process.

May import everything below the command line.
"""
