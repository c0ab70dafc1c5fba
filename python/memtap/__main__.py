"""`python -m memtap` is the `memtap` command."""

from memtap._command import main

if __name__ == "__main__":
    main()
