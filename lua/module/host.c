/* A host lends its client: see pinstripe_lua.h. All that may raise runs protected. */
#include "module.h"
#include "pinstripe_lua.h"

/* Its address is the registry's key of the client lent last. */
static const char lent;

/* package.preload["pinstripe.core"] = luaopen_pinstripe_core, unless it is loaded already */
static void preload(lua_State *L) {
  lua_getglobal(L, "package");
  if (!lua_istable(L, -1)) luaL_error(L, "the library \"package\" is not open in this Lua state");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_pinstripe_core);
  lua_setfield(L, -2, "pinstripe.core");
  lua_pop(L, 2);
}

/* Stack: the client as a light userdata. What it returns is left in the registry too: lua_cpcall drops results. */
static int lend(lua_State *L) {
  preload(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "pinstripe");
  lua_call(L, 1, 0);
  if (!is_own_copy(L)) return luaL_error(L, "pinstripe.core is loaded already, from another library");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "pinstripe.core");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "lend");
  push_client(L, lua_touserdata(L, 1));
  lua_call(L, 1, 1);
  lua_pushvalue(L, -1);
  set_registry(L, &lent);
  return 1;
}

int ps_lua_push_client(lua_State *L, ps_client *client) {
#if LUA_VERSION_NUM >= 502
  lua_pushcfunction(L, lend);
  lua_pushlightuserdata(L, client);
  return lua_pcall(L, 1, 1, 0);
#else
  int status = lua_cpcall(L, lend, client);
  if (status == 0) get_registry(L, &lent);
  return status;
#endif
}
