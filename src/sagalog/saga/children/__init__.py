"""Steps that are sagas: how they are declared, checked, decided on and applied. Pure."""
