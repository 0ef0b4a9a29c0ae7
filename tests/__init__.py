"""The tests mirror the tree: `core/slots.py` is tested in `tests/core/test_slots.py`."""
