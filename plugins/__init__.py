"""The built-in plug-ins; each is a package that only the kernel and its own files import."""
