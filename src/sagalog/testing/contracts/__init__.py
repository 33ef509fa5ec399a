"""What every store and every transport must do, as suites of tests."""
