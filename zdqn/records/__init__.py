"""What a run keeps and what it says of itself."""
