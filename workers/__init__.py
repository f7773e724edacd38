"""
The pipeline's own processes.

They import `pipeline`; nothing there imports them, and no worker knows another.
"""
