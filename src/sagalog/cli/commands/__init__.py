"""The commands, a file each, of the command's name."""
