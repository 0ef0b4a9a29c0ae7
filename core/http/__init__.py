"""What every group of routes shares: reading bodies, answering with streams, and who may call."""
