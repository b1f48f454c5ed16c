"""A messenger that sends no message: takes SMS and WeChat messages and tells what became of them."""
