"""The agent: a collector whose environments are stepped by a program that owns its loop."""
