"""What acts: where actions, exploration and weights come from, and where transitions go."""
