"""Files that stages exchange, written whole or not at all.

Any package may import this one; it imports no other.
"""
