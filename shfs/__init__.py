"""SHFS: the content-addressed volume format of MiniCache. It imports nothing of ours."""
