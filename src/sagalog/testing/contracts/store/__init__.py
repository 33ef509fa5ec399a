"""What every store must do, as one suite of tests in parts."""
