"""Everything `roundhouse up` does on this machine: processes, ports, progress, checks."""
