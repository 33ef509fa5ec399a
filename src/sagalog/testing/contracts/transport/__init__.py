"""What every transport must do, as one suite of tests."""
