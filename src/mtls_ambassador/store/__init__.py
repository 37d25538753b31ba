"""What must survive a restart: devices, pins, audit."""
