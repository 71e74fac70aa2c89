"""`python -m feathertune.cli`: the same as the command `feathertune`."""

from feathertune.cli.app import main

if __name__ == "__main__":
    main()
