"""Downloads and archives: a data set's tree, fetched, verified and unpacked.

``python -m craft.data.fetch`` is the way in.
"""
