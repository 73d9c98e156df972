"""The learner: samples, updates, publishes; and, in its model server, answers everybody."""
