"""An attack from outside: hostile, damaged or ordinary inputs, judged by hand-made truths.

`python -m attack` (with `benchmarks` on the path) makes every input of every mechanism by
its seed, gives it to the public interface in a process that may neither hang nor eat the
memory, and counts what came of it.
"""
