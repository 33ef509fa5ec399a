"""How handlers are called, in a task or a thread with a time limit, and how their exceptions are judged."""
