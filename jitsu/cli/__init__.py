"""Floor 5: commands. They parse, call and print; they decide nothing."""
