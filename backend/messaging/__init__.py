"""Messages to people: SMS and WeChat, each kept first, sent once, and proven to have arrived."""
