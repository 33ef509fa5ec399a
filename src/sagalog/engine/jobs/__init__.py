"""Bulk jobs: what people ask of many sagas, done by one worker at a time."""
