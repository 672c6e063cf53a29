"""What runs on the device: packed into one file by the host, and started there with a JSON job.

Needs Python 3.8 and nothing else at the top of its modules: a runtime and numpy are looked for
when they are wanted.
"""
