"""`python -m feathertune.cli`: what the command `feathertune` runs."""

from feathertune.cli.app import main

if __name__ == "__main__":
    main()
