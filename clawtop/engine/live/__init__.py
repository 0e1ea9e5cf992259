"""What feeds the screen: the hub, the gateway's own words, recordings."""
