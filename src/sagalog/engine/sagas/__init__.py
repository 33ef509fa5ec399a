"""The sagas of this process: started, claimed, driven step by step, given back."""
