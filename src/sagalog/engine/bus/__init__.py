"""The durable bus: messages are read from the log, routed to their recipients and handled."""
