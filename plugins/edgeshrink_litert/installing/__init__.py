"""What a device gets so that it can run the runner: a Python, a runtime and what they need."""
