"""The command line, as `python -m edgeshrink.cli`."""

from edgeshrink.cli import main

if __name__ == "__main__":
    main()
