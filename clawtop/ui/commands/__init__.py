"""What each command of the table does on the screen: one handler each, and the one way to it."""
