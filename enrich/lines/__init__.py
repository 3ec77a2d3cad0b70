"""What was typed at a terminal, line by line, from what programs read from it and write to it."""
