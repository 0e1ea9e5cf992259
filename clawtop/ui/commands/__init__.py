"""What each command of the table does on the screen: one handler each, reached in one way."""
