"""What lies in files: pictures, sound, tables, arrays; in folders, and in zip files of folders.

Uses only what a source of samples is. Which of them a name means is told by `samples/readers.py`.
"""
