rockspec_format = "3.0"
package = "pinstripe"
version = "scm-1"
source = {
  url = "file://.",
}
description = {
  summary = "The Stripe API for Lua",
  detailed = [[
Every operation of the Stripe API through one small C library: retries with idempotency keys, deadlines, iterators over
pages, and errors that say whether money may have moved.]],
  license = "MIT",
}
dependencies = {
  "lua >= 5.1, < 5.5",
}
-- libcurl, yajl and OpenSSL are found by pkg-config. An archive of `make dist` carries the generated C; a checkout generates it,
-- with Python. Where libmicrohttpd and the static library of Lua 5.4 are found too, the sandbox is built.
build = {
  type = "cmake",
  variables = {
    PS_ROCK = "ON",
    PS_WERROR = "OFF",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
  },
}
test = {
  type = "command",
  command = "make test",
}
