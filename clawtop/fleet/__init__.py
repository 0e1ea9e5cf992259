"""Several hosts on one screen: a stream from the clawtop that runs on each, over ssh or any other command."""
