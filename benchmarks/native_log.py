"""Silence from llama.cpp, which would write its loading to stderr."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import llama_cpp


@functools.cache
def _silence() -> Any:
    """The callback; llama.cpp calls it for as long as the process lives, so it must never be freed."""
    return llama_cpp.llama_log_callback(lambda *_: None)


def silence_llama_cpp() -> None:
    """Let llama.cpp say nothing from now on."""
    llama_cpp.llama_log_set(_silence(), ctypes.c_void_p(0))
