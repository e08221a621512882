"""The demo, the paper's tables and the command line: users of the public API."""
