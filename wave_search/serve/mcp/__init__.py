"""MCP, by which assistants use an index: tools to search, look, listen and ask, over stdio and HTTP."""
