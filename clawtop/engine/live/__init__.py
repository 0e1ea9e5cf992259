"""What feeds the screen: the hub, the gateway's reports, recordings."""
