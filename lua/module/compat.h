/* One source for Lua 5.1, 5.3, 5.4 and LuaJIT: the few calls of the C API that differ, each under one name. */
#ifndef PINSTRIPE_LUA_COMPAT_H
#define PINSTRIPE_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>

#if LUA_VERSION_NUM >= 503
#define LUA_HAS_INTEGERS 1
#else
#define LUA_HAS_INTEGERS 0
#endif

static inline void *new_userdata(lua_State *L, size_t size) {
#if LUA_VERSION_NUM >= 504
  return lua_newuserdatauv(L, size, 0);
#else
  return lua_newuserdata(L, size);
#endif
}

static inline size_t raw_length(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 502
  return (size_t)lua_rawlen(L, index);
#else
  return lua_objlen(L, index);
#endif
}

static inline int absolute_index(lua_State *L, int index) { return index > 0 ? index : lua_gettop(L) + index + 1; }

/* The userdata at `index` if its metatable is the one registered as `type`, else NULL. */
static inline void *test_userdata(lua_State *L, int index, const char *type) {
  void *u = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
  if (!u || !lua_getmetatable(L, index)) return NULL;
  lua_getfield(L, LUA_REGISTRYINDEX, type);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? u : NULL;
}

/* A value of the registry under an address, which no other library can have. */
static inline void get_registry(lua_State *L, const void *key) {
  lua_pushlightuserdata(L, (void *)key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

static inline void set_registry(lua_State *L, const void *key) {
  lua_pushlightuserdata(L, (void *)key);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static inline void set_functions(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

#endif
