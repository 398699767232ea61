"""The page: six screens that the daemon serves to browsers, made on the server."""
