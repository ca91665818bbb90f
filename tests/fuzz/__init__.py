"""Damaged and hostile input for every parser of something from outside: a right answer or a refusal of one line.

``make fuzz`` tries 100,000 inputs and more; ``make test`` tries the same few ones each time (``test_fuzz.py``).
"""
