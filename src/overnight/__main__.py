"""``python -m overnight``: the same as the ``overnight`` program."""

from overnight.cli.main import main

if __name__ == "__main__":
    main()
