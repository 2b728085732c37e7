"""The workflows: one module per operation, each a function of a session and plain arguments."""
