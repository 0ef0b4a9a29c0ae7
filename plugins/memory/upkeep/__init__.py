"""Looking whether everything is whole, and making indexes anew."""
