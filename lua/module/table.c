/* The API's table, walked from Lua: what pinstripe.api is made of. A row becomes a plain table of its facts; what is false,
 * empty or absent is left out.
 *
 * A type {kind = "object", fields = {...}} holds the types inside it, down to references: those only name their object, which
 * ends the walk (every cycle of the table goes through a reference). */
#include "module.h"

static void push_type(lua_State *L, const ps_api_type *t, unsigned flags);

static void set_text(lua_State *L, const char *name, const char *value) {
  if (!value || !*value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool value) {
  if (!value) return;
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, name);
}

/* Appends the string to the list on the top of the stack. */
static void add_text(lua_State *L, const char *value) {
  lua_pushstring(L, value);
  lua_rawseti(L, -2, (int)raw_length(L, -2) + 1);
}

/* ---- Types ---- */

static void set_flags(lua_State *L, unsigned flags) {
  static const struct {
    unsigned flag;
    const char *name;
  } names[] = {
    {PS_FLAG_REQUIRED, "required"}, {PS_FLAG_OPTIONAL, "optional"}, {PS_FLAG_EMPTYABLE, "emptyable"},
    {PS_FLAG_NULLABLE, "nullable"}, {PS_FLAG_OPEN, "open"},         {PS_FLAG_DEPRECATED, "deprecated"},
    {PS_FLAG_METADATA, "metadata"}, {PS_FLAG_SCALAR, "scalar"},     {PS_FLAG_DELETED, "deleted"},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) set_flag(L, names[i].name, (flags & names[i].flag) != 0);
  if (flags & PS_FLAG_DATE_TIME) set_text(L, "format", "date-time");
}

/* fields[i], in the order of their names, each with its name; fields.name finds one. */
static void set_fields(lua_State *L, const ps_api_type *t) {
  int i = 0;
  lua_newtable(L);
  for (const ps_api_field *f = ps_field_next(t, NULL); f; f = ps_field_next(t, f)) {
    push_type(L, ps_field_type(f), ps_field_flags(f));
    set_text(L, "name", ps_field_name(f));
    lua_rawseti(L, -2, ++i);
  }
  luaL_getmetatable(L, NAMED_TYPE);
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "fields");
}

static void set_values(lua_State *L, const ps_api_type *t) {
  const char *value;
  lua_newtable(L);
  for (size_t i = 0; (value = ps_type_value(t, i)); i++) add_text(L, value);
  lua_setfield(L, -2, "values");
}

static void set_variants(lua_State *L, const ps_api_type *t) {
  const ps_api_type *variant;
  lua_newtable(L);
  for (size_t i = 0; (variant = ps_type_variant(t, i)); i++) {
    push_type(L, variant, ps_type_flags(variant));
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setfield(L, -2, "any");
}

static void set_item(lua_State *L, const ps_api_type *t) {
  const ps_api_type *item = ps_type_item(t);
  push_type(L, item, ps_type_flags(item));
  lua_setfield(L, -2, "of");
}

static void push_type(lua_State *L, const ps_api_type *t, unsigned flags) {
  luaL_checkstack(L, 8, "a type is nested too deep");
  lua_createtable(L, 0, 4);
  set_text(L, "kind", ps_type_kind_name(t));
  set_flags(L, flags);
  switch (ps_type_kind(t)) {
    case PS_TYPE_OBJECT: set_fields(L, t); break;
    case PS_TYPE_ENUM: set_values(L, t); break;
    case PS_TYPE_REF: set_text(L, "ref", ps_type_name(t)); break;
    case PS_TYPE_EXPANDABLE:
    case PS_TYPE_UNION: set_variants(L, t); break;
    case PS_TYPE_ARRAY:
    case PS_TYPE_MAP:
    case PS_TYPE_LIST:
    case PS_TYPE_RANGE: set_item(L, t); break;
    default: break;
  }
}

/* ---- Services ---- */

/* The service at `index`, by path; "" is the top, as NULL. False: there is none. */
static bool to_service(lua_State *L, int index, const ps_api_service **s) {
  const char *path = luaL_checkstring(L, index);
  *s = *path ? ps_service_find(path) : NULL;
  return *s || !*path;
}

/* core.resolve(path, name) → "service", path; "operation", id, whether it moves a file; "url", id; or nothing: what a
 * field of a service is */
static int core_resolve(lua_State *L) {
  const ps_api_service *s;
  const char *path = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
  if (!to_service(L, 1, &s)) return 0;
  const ps_api_operation *op = s ? ps_service_operation(s, name) : NULL;
  if (op) {
    lua_pushliteral(L, "operation");
    lua_pushstring(L, ps_operation_id(op));
    const char *kind = ps_operation_kind(op);
    lua_pushboolean(L, strcmp(kind, "upload") == 0 || strcmp(kind, "stream") == 0);
    return 3;
  }
  const char *child = *path ? lua_pushfstring(L, "%s.%s", path, name) : name;
  bool service = ps_service_find(child) != NULL;
  if (!service && !(s && ps_service_has_url(s, name))) return 0;
  lua_pushstring(L, service ? "service" : "url");
  lua_pushstring(L, child);
  return 2;
}

/* core.service(path) → {path, services, operations}, the latter by name; or nil. "" is the top. */
static int core_service(lua_State *L) {
  const ps_api_service *s;
  if (!to_service(L, 1, &s)) return 0;
  lua_createtable(L, 0, 3);
  set_text(L, "path", s ? ps_service_path(s) : "");
  lua_newtable(L);
  for (const ps_api_service *c = ps_service_child(s, NULL); c; c = ps_service_child(s, c))
    add_text(L, ps_service_path(c));
  lua_setfield(L, -2, "services");
  lua_newtable(L);
  const ps_api_operation *op = s ? ps_service_operation_next(s, NULL) : NULL;
  for (; op; op = ps_service_operation_next(s, op)) add_text(L, ps_operation_name(op));
  lua_setfield(L, -2, "operations");
  return 1;
}

/* core.service_next(path or nil) → the path after it */
static int core_service_next(lua_State *L) {
  const ps_api_service *s = lua_isnoneornil(L, 1) ? NULL : ps_service_find(luaL_checkstring(L, 1));
  const ps_api_service *next = ps_service_next(s);
  if (next) lua_pushstring(L, ps_service_path(next));
  return next ? 1 : 0;
}

/* ---- Operations ---- */

static void set_returns(lua_State *L, const ps_api_operation *op) {
  const ps_api_type *t = ps_operation_returns(op);
  push_type(L, t, ps_type_flags(t));
  lua_setfield(L, -2, "type");
  set_text(L, "kind", ps_operation_returns_kind(op));
}

static void set_path_params(lua_State *L, const ps_api_operation *op) {
  const char *name;
  lua_newtable(L);
  for (size_t i = 0; (name = ps_operation_path_param(op, i)); i++) add_text(L, name);
  lua_setfield(L, -2, "ids");
}

static void set_throws(lua_State *L, const ps_api_operation *op) {
  const char *name;
  lua_newtable(L);
  for (size_t i = 0; (name = ps_operation_throws(op, i)); i++) add_text(L, name);
  lua_setfield(L, -2, "throws");
}

static void set_facts(lua_State *L, const ps_api_operation *op) {
  set_text(L, "id", ps_operation_id(op));
  set_text(L, "name", ps_operation_name(op));
  set_text(L, "service", ps_service_path(ps_operation_service(op)));
  set_text(L, "method", ps_operation_method(op));
  set_text(L, "path", ps_operation_path(op));
  set_text(L, "base", ps_operation_base(op));
  set_text(L, "kind", ps_operation_kind(op));
  set_text(L, "encoding", ps_operation_encoding(op));
  set_text(L, "stripe_version", ps_operation_stripe_version(op));
  set_text(L, "status", ps_operation_status(op));
  set_flag(L, "params_required", ps_operation_params_required(op));
  set_flag(L, "deprecated", ps_operation_deprecated(op));
  if (ps_operation_alias_of(op)) set_text(L, "alias_of", ps_operation_id(ps_operation_alias_of(op)));
  lua_pushinteger(L, ps_operation_version(op));
  lua_setfield(L, -2, "version");
}

static int return_operation(lua_State *L, const ps_api_operation *op) {
  if (!op) return 0;
  lua_createtable(L, 0, 20);
  set_facts(L, op);
  set_path_params(L, op);
  set_throws(L, op);
  set_fields(L, ps_operation_params(op));
  lua_getfield(L, -1, "fields");
  lua_setfield(L, -2, "params");
  lua_pushnil(L);
  lua_setfield(L, -2, "fields");
  lua_newtable(L);
  set_returns(L, op);
  lua_setfield(L, -2, "returns");
  return 1;
}

/* core.operation(id) → its facts, or nil */
static int core_operation(lua_State *L) { return return_operation(L, ps_operation_find(luaL_checkstring(L, 1))); }

/* core.route(method, path) → the facts of the operation there, or nil */
static int core_route(lua_State *L) {
  return return_operation(L, ps_operation_route(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
}

/* core.operation_next(id or nil) → the id after it */
static int core_operation_next(lua_State *L) {
  const ps_api_operation *op = lua_isnoneornil(L, 1) ? NULL : ps_operation_find(luaL_checkstring(L, 1));
  const ps_api_operation *next = ps_operation_next(op);
  if (next) lua_pushstring(L, ps_operation_id(next));
  return next ? 1 : 0;
}

/* ---- Objects, events, the rest ---- */

/* core.object(name) → {name, sdk_name, id_prefix, fields, deleted}, or nil */
static int core_object(lua_State *L) {
  const ps_api_type *t = ps_object_find(luaL_checkstring(L, 1));
  if (!t) return 0;
  lua_createtable(L, 0, 5);
  set_text(L, "name", ps_type_name(t));
  set_text(L, "sdk_name", ps_object_sdk_name(t));
  set_text(L, "id_prefix", ps_object_id_prefix(t));
  set_fields(L, t);
  if (!ps_object_deleted(t)) return 1;
  push_type(L, ps_object_deleted(t), 0);
  lua_setfield(L, -2, "deleted");
  return 1;
}

/* core.object_next(name or nil) → the name after it */
static int core_object_next(lua_State *L) {
  const ps_api_type *t = lua_isnoneornil(L, 1) ? NULL : ps_object_find(luaL_checkstring(L, 1));
  const ps_api_type *next = ps_object_next(t);
  if (next) lua_pushstring(L, ps_type_name(next));
  return next ? 1 : 0;
}

/* core.event(type) → {type, thin, objects, data}, or nil */
static int core_event(lua_State *L) {
  const char *object;
  const ps_api_event *e = ps_event_find(luaL_checkstring(L, 1));
  if (!e) return 0;
  lua_createtable(L, 0, 4);
  set_text(L, "type", ps_event_type(e));
  set_flag(L, "thin", ps_event_thin(e));
  lua_newtable(L);
  for (size_t i = 0; (object = ps_event_object(e, i)); i++) add_text(L, object);
  lua_setfield(L, -2, "objects");
  if (!ps_event_data(e)) return 1;
  push_type(L, ps_event_data(e), 0);
  lua_setfield(L, -2, "data");
  return 1;
}

/* core.event_next(type or nil) → the type after it */
static int core_event_next(lua_State *L) {
  const ps_api_event *e = lua_isnoneornil(L, 1) ? NULL : ps_event_find(luaL_checkstring(L, 1));
  const ps_api_event *next = ps_event_next(e);
  if (next) lua_pushstring(L, ps_event_type(next));
  return next ? 1 : 0;
}

/* core.error_codes() → the known values of an error's code */
static int core_error_codes(lua_State *L) {
  const char *code;
  lua_newtable(L);
  for (size_t i = 0; (code = ps_api_error_code(i)); i++) add_text(L, code);
  return 1;
}

/* core.nearest(id) → the id of the operation that is nearest to it, or nil */
static int core_nearest(lua_State *L) {
  const char *nearest = ps_api_nearest_operation(luaL_checkstring(L, 1));
  if (nearest) lua_pushstring(L, nearest);
  return nearest ? 1 : 0;
}

/* core.api_version() → "2026-10-28.endive" */
static int core_api_version(lua_State *L) {
  lua_pushstring(L, ps_api_version());
  return 1;
}

/* fields.email: the one with that name */
int named_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  int count = (int)raw_length(L, 1);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    lua_getfield(L, -1, "name");
    bool found = lua_rawequal(L, -1, 2);
    lua_pop(L, 1);
    if (found) return 1;
    lua_pop(L, 1);
  }
  return 0;
}

const luaL_Reg table_functions[] = {
  {"resolve", core_resolve},
  {"service", core_service},
  {"service_next", core_service_next},
  {"operation", core_operation},
  {"operation_next", core_operation_next},
  {"route", core_route},
  {"object", core_object},
  {"object_next", core_object_next},
  {"event", core_event},
  {"event_next", core_event_next},
  {"error_codes", core_error_codes},
  {"nearest", core_nearest},
  {"api_version", core_api_version},
  {NULL, NULL},
};
