"""A run on the machines of a lab: what runs where, as text, and how it is started over ssh."""
