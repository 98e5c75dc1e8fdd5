-- One source for Lua 5.1, 5.3, 5.4 and LuaJIT.
std = "max"
max_line_length = 120
unused_args = false
files["tests/**/*_spec.lua"].std = "max+busted"
files["tests/lua/*.lua"].std = "max+busted"
exclude_files = {"build"}
