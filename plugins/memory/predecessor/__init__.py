"""The memories of the server before this one, taken over."""
