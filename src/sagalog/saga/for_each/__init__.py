"""Steps that are made once for each element: how they are checked, decided on and applied. Pure."""
