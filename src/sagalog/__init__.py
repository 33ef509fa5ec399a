"""What a saga is declared with; importing it loads no I/O."""
