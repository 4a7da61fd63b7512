"""The command ``skewless``.

`main` declares the commands and prints what they answer; what they do is in the other modules, each of which is
imported when its command runs, so that ``--help`` stays quick.
"""
