"""Search by meaning: exactly, or through ChromaDB where one person has very many memories."""
