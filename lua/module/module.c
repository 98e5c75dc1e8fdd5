/* luaopen_pinstripe_core: registers the types and hands out the functions. Nothing is walked or sent here, so that loading
 * costs next to nothing. */
#include "module.h"

#include <stdarg.h>

#include "pinstripe_lua.h"

/* ---- Scratch ---- */

scratch *push_scratch(lua_State *L) {
  scratch *s = new_userdata(L, sizeof *s);
  *s = (scratch){.text = NULL};
  luaL_getmetatable(L, SCRATCH_TYPE);
  lua_setmetatable(L, -2);
  return s;
}

void clear_scratch(scratch *s) {
  ps_value_free(s->params);
  ps_value_free(s->options);
  ps_value_free(s->names);
  ps_free(s->text);
  *s = (scratch){.text = NULL};
}

static int scratch_gc(lua_State *L) {
  scratch *s = test_userdata(L, 1, SCRATCH_TYPE);
  if (s) clear_scratch(s);
  return 0;
}

/* ---- Misuse ---- */

int misuse_pushed(lua_State *L) {
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int misuse(lua_State *L, const char *format, ...) {
  va_list rest;
  va_start(rest, format);
  lua_pushvfstring(L, format, rest);
  va_end(rest);
  return misuse_pushed(L);
}

/* ---- JSON ---- */

/* json.decode(text) → value; or nil and why not */
static int json_decode(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  scratch *s = push_scratch(L);
  s->params = ps_value_parse(text, length);
  if (*ps_value_error(s->params)) return misuse(L, "%s", ps_value_error(s->params));
  push_value(L, s->params, NULL, NULL);
  clear_scratch(s);
  return 1;
}

/* json.encode(value) → text; or nil and a message */
static int json_encode(lua_State *L) {
  size_t length;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  scratch *s = push_scratch(L);
  s->params = ps_value_new();
  if (!lua_isnil(L, 1) && !read_value(L, 1, s->params, "value")) return misuse_pushed(L);
  if (*ps_value_error(s->params)) return misuse(L, "%s", ps_value_error(s->params));
  s->text = ps_json(s->params, &length);
  if (!s->text) return luaL_error(L, "not enough memory");
  lua_pushlstring(L, s->text, length);
  clear_scratch(s);
  return 1;
}

/* ---- Loading ---- */

/* Registers `type` and leaves its metatable on the stack. `gc` may be NULL. */
static void add_type(lua_State *L, const char *type, lua_CFunction gc) {
  luaL_newmetatable(L, type);
  lua_pushstring(L, type);
  lua_setfield(L, -2, "__name");
  if (!gc) return;
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
}

static void add_methods(lua_State *L, const luaL_Reg *methods, const luaL_Reg *more) {
  lua_newtable(L);
  set_functions(L, methods);
  if (more) set_functions(L, more);
  lua_setfield(L, -2, "__index");
}

static void add_owners(lua_State *L) {
  static const luaL_Reg call_methods[] = {{"finish", call_finish}, {NULL, NULL}};
  add_type(L, SCRATCH_TYPE, scratch_gc);
  add_type(L, CLIENT_TYPE, client_gc);
  add_type(L, ORIGIN_TYPE, origin_gc);
  add_type(L, FIELDS_TYPE, NULL);
  add_type(L, CALL_TYPE, call_gc);
  add_methods(L, machine_methods, call_methods);
  add_type(L, ITER_TYPE, iter_gc);
  add_methods(L, machine_methods, iter_methods);
  add_type(L, METER_TYPE, meter_gc);
  add_methods(L, machine_methods, meter_methods);
  add_type(L, SANDBOX_TYPE, sandbox_gc);
  add_methods(L, sandbox_methods, NULL);
  lua_pop(L, 8);
}

/* Metatables of plain tables. Those that the Lua side completes become fields of the module, which is below them. */
static void add_marks(lua_State *L) {
  add_type(L, HEADERS_TYPE, NULL);
  lua_pushcfunction(L, headers_index);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  add_type(L, NAMED_TYPE, NULL);
  lua_pushcfunction(L, named_index);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  add_type(L, ARRAY_TYPE, NULL);
  lua_setfield(L, -2, "array_meta");
  add_type(L, ERROR_TYPE, NULL);
  lua_setfield(L, -2, "error_meta");
  add_type(L, EVENT_TYPE, NULL);
  lua_setfield(L, -2, "event_meta");
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, PAGE_TYPE);
  lua_setfield(L, -2, "page_methods");
}

/* Its address marks a Lua state as that of this copy of the library. */
static const char copy_mark;

bool is_own_copy(lua_State *L) {
  get_registry(L, &copy_mark);
  bool own = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return own;
}

/* Two copies in one Lua state would take each other's userdata for their own. */
static void check_copy(lua_State *L) {
  luaL_getmetatable(L, CLIENT_TYPE);
  bool taken = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (taken && !is_own_copy(L)) luaL_error(L, "pinstripe.core is loaded already, from another library");
  lua_pushboolean(L, 1);
  set_registry(L, &copy_mark);
}

int luaopen_pinstripe_core(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"client", core_client},
    {"call", core_call},
    {"request", core_request},
    {"iter", core_iter},
    {"iter_page", core_iter_page},
    {"fields_at", core_fields_at},
    {"decode", json_decode},
    {"encode", json_encode},
    {"webhook", core_webhook},
    {"sign", core_sign},
    {"scoped", core_scoped},
    {"fetch", core_fetch},
    {"download", core_download},
    {"authorize_url", core_authorize_url},
    {"meter", core_meter},
    {"sandbox", core_sandbox},
    {NULL, NULL},
  };
  check_copy(L);
  add_owners(L);
  lua_createtable(L, 0, 24);
  set_functions(L, functions);
  set_functions(L, table_functions);
  add_marks(L);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  lua_pushstring(L, ps_version());
  lua_setfield(L, -2, "version");
  return 1;
}
