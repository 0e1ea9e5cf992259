"""Lock files, their protocol, and the processes that own them."""
