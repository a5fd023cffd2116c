"""The page in a real browser: Chromium of the system, the real server, and a real index."""
