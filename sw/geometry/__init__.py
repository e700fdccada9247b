"""The paper xnorgrid grew out of, recomputed: *The High-Dimensional Geometry of Binary Neural Networks*.

:mod:`.theory` holds the closed forms and :mod:`.vectors` what is measured. The experiments are functions from
:class:`~.rows.Settings` to a :class:`~.rows.Section` of rows, each with the paper's value, ours, what is
accepted, and the verdict. :mod:`.suite` runs them; :mod:`.report` and :mod:`.figures` show them.
"""
