"""What a live gateway says, over HTTP and over its WebSocket, on loopback."""
