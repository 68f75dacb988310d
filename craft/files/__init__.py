"""Files that stages exchange, and how they reach the disk: whole or not at all.

Any room may import from here; nothing here imports another room.
"""
