"""Following other applications: their logs are read by position and translated into messages."""
