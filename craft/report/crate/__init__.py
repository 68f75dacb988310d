"""The results of a suite as an RO-Crate: a Provenance Run Crate of the Workflow Run profiles.

It says in a vocabulary that others read what ``provenance.json`` says: which command made each
table, figure and run, from which files, when, and with which versions. Files elsewhere (data,
configuration) are named by their SHA-256 and are no part of it.
"""
