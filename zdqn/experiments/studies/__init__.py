"""Experiments: variants of a configuration, trained with several seeds, and what they show."""
