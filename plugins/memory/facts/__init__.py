"""What holds: statements that change, and which of them is the newest."""
