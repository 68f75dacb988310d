"""What a target will cost: jobs, queries, images, disk and hours.

Nothing here writes a result.
"""
