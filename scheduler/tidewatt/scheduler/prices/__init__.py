"""What electricity costs where and when: fixed, by the time of use, or as recorded in a file."""
