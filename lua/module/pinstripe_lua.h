/* pinstripe in Lua, for a program that embeds an interpreter.
 *
 *   ps_client *stripe = ps_client_new(NULL, NULL);
 *   ps_lua_push_client(L, stripe);
 *   lua_setglobal(L, "stripe");
 *   luaL_dostring(L, "print(stripe.balance:retrieve().object)");
 *
 * Link libpinstripe-lua of that Lua version, which stands on the same libpinstripe as the program: a client must not cross
 * from one copy of the library to another. The Lua files of the package "pinstripe" must be on package.path. */
#ifndef PINSTRIPE_LUA_H
#define PINSTRIPE_LUA_H

#include <lua.h>

#include "pinstripe.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PS_LUA_API __attribute__((visibility("default")))
#else
#define PS_LUA_API
#endif

/* What require "pinstripe.core" calls: the native half of the package. */
PS_LUA_API int luaopen_pinstripe_core(lua_State *L);

/* Pushes `client` as pinstripe.client() would make it; scripts use it as their own. It is held until the Lua state closes or
 * collects it, so the program may free it first. Scripts cannot read its key. In this state, require "pinstripe" finds this
 * library's native half. Returns 0; or the status of lua_pcall, with the message pushed in place of the client (the package
 * is not on package.path, another copy of pinstripe.core is loaded, no memory). Raises nothing. */
PS_LUA_API int ps_lua_push_client(lua_State *L, ps_client *client);

#ifdef __cplusplus
}
#endif

#endif
