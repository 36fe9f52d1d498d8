"""Board definitions and the code that boots an emulated board or writes an SD card."""
