"""Old conversations in a few sentences."""
