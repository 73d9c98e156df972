"""Looking at runs, and comparing them."""
