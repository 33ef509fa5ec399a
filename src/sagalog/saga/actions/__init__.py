"""What a person does to a saga: which actions are allowed when, what follows from each, how it changes the state."""
