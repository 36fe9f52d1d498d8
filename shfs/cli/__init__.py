"""The command line of SHFS: parse, call, print."""
