"""How handlers are called: in a task or a thread, within their time, and what is made of what they raise."""
