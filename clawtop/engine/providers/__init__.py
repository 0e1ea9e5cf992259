"""Model providers over HTTP: one request, one stream, errors mapped once at the edge. No retries."""
