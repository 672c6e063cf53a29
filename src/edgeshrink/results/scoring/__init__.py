"""What metrics look at: outputs, or what is made of them before they are judged.

Uses metrics; the judge uses it.
"""
