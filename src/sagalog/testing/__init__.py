"""What tests of sagas and of stores stand on; nothing here is needed at run time."""
