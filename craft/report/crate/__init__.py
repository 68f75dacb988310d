"""The results of a suite as an RO-Crate: a Provenance Run Crate of the Workflow Run profiles.

It states the content of ``provenance.json`` in a standard vocabulary: which command made each
table, figure and run, from which files, when, and with which versions. Other files (data,
configuration) are listed with their SHA-256 but are not part of the crate.
"""
