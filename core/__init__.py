"""The kernel: plug-ins, models, slots, admission and the way of one request. It knows no engine and no wire."""
