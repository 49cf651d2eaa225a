"""The command line: flags in, tables or JSON out; no thinking."""
