"""The worker process: loads one model and answers its sequences; see `loop.py` first."""
