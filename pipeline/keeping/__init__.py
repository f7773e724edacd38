"""
Files over time: what there is, what is to be packed and what is to leave, and doing it.

A library without a loop. The keeper worker uses it, and `pipeline cleanup` where no pipeline runs.
"""
