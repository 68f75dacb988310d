"""What a target will cost before it runs: jobs, queries, images, disk and hours.

Nothing is measured or written; ``craft plan`` (craft.console) is the command.
"""
