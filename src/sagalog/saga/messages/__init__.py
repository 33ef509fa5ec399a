"""Messages to sagas and participants: how they are declared, decided on, applied and routed. Pure."""
