"""When: which days a question speaks of, and what was said then."""
