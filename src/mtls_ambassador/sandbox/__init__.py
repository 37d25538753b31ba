"""A small Mender server and simulated devices, for demos and tests; never for production."""
