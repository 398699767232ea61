"""Another host over SSH, with the same supervisors as this one."""
