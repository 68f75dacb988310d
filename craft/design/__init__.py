"""The design of the experiment: the runs of a configuration, with their options.

Pure Python on plain dictionaries; the workflow uses it at parse time.
"""
