/* A projection: {"id", "amount", "customer.email"} as a tree of names, within one userdata.
 *
 *   root ──child──▶ id ──next──▶ amount ──next──▶ customer
 *                                                    └─child──▶ email
 *
 * The nodes come first, the bytes of their names behind them: nothing to free. The root's length is the count of nodes. */
#include "module.h"

typedef struct builder {
  field *nodes;
  size_t node_count;
  char *bytes;
} builder;

/* The segments of a path; 0 if one is empty. */
static size_t count_segments(const char *path, size_t length) {
  size_t count = 1;
  if (length == 0 || path[0] == '.' || path[length - 1] == '.') return 0;
  for (size_t i = 1; i < length; i++) {
    if (path[i] == '.' && path[i - 1] == '.') return 0;
    if (path[i] == '.') count++;
  }
  return count;
}

static bool measure(lua_State *L, int index, size_t *nodes, size_t *bytes) {
  *nodes = 1;
  *bytes = 0;
  size_t count = raw_length(L, index);
  for (size_t i = 1; i <= count; i++) {
    size_t length = 0, segments = 0;
    lua_rawgeti(L, index, (int)i);
    if (lua_type(L, -1) == LUA_TSTRING) {
      const char *path = lua_tolstring(L, -1, &length);
      segments = count_segments(path, length);
    }
    if (segments == 0) {
      lua_pushfstring(L, "fields[%d] must name a field, as \"amount\" or \"customer.email\"", (int)i);
      return false;
    }
    lua_pop(L, 1);
    *nodes += segments;
    *bytes += length;
  }
  if (count > 0) return true;
  lua_pushliteral(L, "fields must be a list of names, as {\"id\", \"amount\", \"customer.email\"}");
  return false;
}

static field *descend(builder *b, field *parent, const char *name, size_t length) {
  for (field *f = parent->child; f; f = f->next) {
    if (f->length == length && memcmp(f->name, name, length) == 0) return f;
  }
  field *f = &b->nodes[b->node_count++];
  memcpy(b->bytes, name, length);
  *f = (field){.name = b->bytes, .length = length, .next = parent->child};
  b->bytes += length;
  parent->count++;
  return parent->child = f;
}

static void add_path(builder *b, const char *path, size_t length) {
  field *f = &b->nodes[0];
  for (size_t begin = 0; begin < length;) {
    const char *dot = memchr(path + begin, '.', length - begin);
    size_t end = dot ? (size_t)(dot - path) : length;
    f = descend(b, f, path + begin, end - begin);
    begin = end + 1;
  }
  f->whole = true;
}

bool push_fields(lua_State *L, int index) {
  size_t nodes, bytes;
  index = absolute_index(L, index);
  if (lua_isnil(L, index)) {
    lua_pushnil(L);
    return true;
  }
  if (!lua_istable(L, index)) {
    lua_pushfstring(L, "fields must be a list of names, not a %s", luaL_typename(L, index));
    return false;
  }
  if (!measure(L, index, &nodes, &bytes)) return false;
  builder b = {.nodes = new_userdata(L, nodes * sizeof(field) + bytes), .node_count = 1};
  b.bytes = (char *)(b.nodes + nodes);
  b.nodes[0] = (field){.name = "", .length = nodes};
  size_t count = raw_length(L, index);
  for (size_t i = 1; i <= count; i++) {
    size_t length;
    lua_rawgeti(L, index, (int)i);
    const char *path = lua_tolstring(L, -1, &length);
    add_path(&b, path, length);
    lua_pop(L, 1);
  }
  luaL_getmetatable(L, FIELDS_TYPE);
  lua_setmetatable(L, -2);
  return true;
}

static void copy_children(builder *b, field *to, const field *from) {
  for (const field *f = from->child; f; f = f->next) {
    field *copy = descend(b, to, f->name, f->length);
    copy->whole = f->whole;
    copy_children(b, copy, f);
  }
}

int core_fields_at(lua_State *L) {
  const field *all = to_fields(L, 1);
  lua_Number at = lua_tonumber(L, 2);
  if (!all || !(at >= 0 && at < (lua_Number)all->length)) return luaL_argerror(L, 2, "not a part of these fields");
  builder b = {.nodes = new_userdata(L, raw_length(L, 1)), .node_count = 1};
  b.bytes = (char *)(b.nodes + all->length);
  b.nodes[0] = (field){.name = "", .length = all->length};
  copy_children(&b, b.nodes, &all[(size_t)at]);
  luaL_getmetatable(L, FIELDS_TYPE);
  lua_setmetatable(L, -2);
  return 1;
}

const field *to_fields(lua_State *L, int index) { return test_userdata(L, index, FIELDS_TYPE); }

static void add_names(ps_value *to, const field *parent) {
  for (const field *f = parent->child; f; f = f->next) {
    ps_value *named = ps_map_setn(to, f->name, f->length);
    if (f->whole) ps_value_set_bool(named, true);
    else add_names(named, f);
  }
}

ps_value *new_fields_value(lua_State *L, int index) {
  const field *all = to_fields(L, index);
  if (!all) return NULL;
  ps_value *names = ps_value_new();
  add_names(names, all);
  return names;
}
