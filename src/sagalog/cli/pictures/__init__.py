"""Sagas and choreographies as pictures: pure text."""
