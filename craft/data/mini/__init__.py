"""The embedded suite: a small rendered world and the few-shot tasks beside it."""
