"""What a run needs of the machine: memory, messages for full disks, files that are written whole or not at all.

Imports nothing of dacn but `errors`.
"""
