"""Damaged and hostile inputs for everything that is read: each ends in a result or a sentence.

`python -m fuzz --seconds 1200 --seed 7` from the folder of tests, or `make fuzz`. What fails is
written to a folder of its own below the system's temporary one, with the command that repeats it;
inputs that crash other people's software never enter this repository.
"""
