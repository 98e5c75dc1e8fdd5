/* Lua → value. One recursive walk, raw: no metamethod runs, and the caller's tables are only read.
 *
 * A `place` for each table that is being walked lies on the C stack and points at its parent: it names the offending value
 * in a message (params.items[2].price) and finds cycles. The tree being built belongs to a scratch userdata. */
#include "module.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

enum { MOST_DEPTH = 64, TEXT_SIZE = 240, KEY_SHOWN = 40 };

typedef struct place {
  const struct place *parent; /* NULL: the outermost */
  const char *root;           /* its name */
  const void *table;          /* that is being walked here, or NULL */
  int key;                    /* stack index of the key, or 0: `item` */
  size_t item;
  int depth;
} place;

/* ---- Naming a place ---- */

typedef struct text {
  char bytes[TEXT_SIZE];
  size_t length;
} text;

static void add_text(text *t, const char *s) {
  size_t room = sizeof t->bytes - t->length;
  int n = snprintf(t->bytes + t->length, room, "%s", s);
  t->length += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static bool is_name(const char *s, size_t length) {
  if (length == 0 || length > KEY_SHOWN || isdigit((unsigned char)*s)) return false;
  for (size_t i = 0; i < length; i++) {
    if (!isalnum((unsigned char)s[i]) && s[i] != '_') return false;
  }
  return true;
}

static void add_key(text *t, const char *key, size_t length) {
  char shown[KEY_SHOWN + 8];
  if (is_name(key, length)) {
    snprintf(shown, sizeof shown, ".%s", key);
  } else {
    size_t n = length < KEY_SHOWN ? length : KEY_SHOWN;
    snprintf(shown, sizeof shown, "[\"%.*s%s\"]", (int)n, key, n < length ? "..." : "");
    for (char *p = shown; *p; p++) {
      if (iscntrl((unsigned char)*p)) *p = '?';
    }
  }
  add_text(t, shown);
}

static void add_place(lua_State *L, text *t, const place *at) {
  char item[32];
  if (!at->parent) {
    add_text(t, at->root);
    return;
  }
  add_place(L, t, at->parent);
  if (at->key) {
    size_t length;
    const char *key = lua_tolstring(L, at->key, &length);
    add_key(t, key, length);
  } else {
    snprintf(item, sizeof item, "[%lu]", (unsigned long)at->item);
    add_text(t, item);
  }
}

/* Pushes "params.items[2].price: why"; false, for the caller to return. */
static bool refuse(lua_State *L, const place *at, const char *why) {
  text t = {.length = 0};
  add_place(L, &t, at);
  lua_pushfstring(L, "%s: %s", t.bytes, why);
  return false;
}

/* ---- Scalars ---- */

static bool read_number(lua_State *L, int index, ps_value *into, const place *at) {
  const lua_Number limit = 9007199254740992.0; /* 2^53: above, a float may have lost digits */
#if LUA_HAS_INTEGERS
  if (lua_isinteger(L, index)) {
    ps_value_set_int(into, (int64_t)lua_tointeger(L, index));
    return true;
  }
#endif
  lua_Number n = lua_tonumber(L, index);
  if (n != n) return refuse(L, at, "NaN is not a number that can be sent");
  if (n - n != 0) return refuse(L, at, "infinity is not a number that can be sent");
  if (n > -limit && n < limit && (lua_Number)(int64_t)n == n) ps_value_set_int(into, (int64_t)n);
  else ps_value_set_double(into, n);
  return true;
}

static bool refuse_type(lua_State *L, int index, const place *at) {
  char why[160];
  snprintf(why, sizeof why, "a %s cannot be sent (expected a string, number, boolean, table or pinstripe.null)",
           luaL_typename(L, index));
  return refuse(L, at, why);
}

/* ---- Tables ---- */

typedef struct shape {
  size_t strings, items; /* keys of each kind */
  lua_Number largest;    /* of the items' keys */
  bool marked;           /* by pinstripe.array */
} shape;

static bool is_marked(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  lua_getfield(L, LUA_REGISTRYINDEX, ARRAY_TYPE);
  bool marked = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return marked;
}

/* The key is on the top of the stack. */
static bool count_key(lua_State *L, shape *s, const place *at) {
  if (lua_type(L, -1) == LUA_TSTRING) {
    s->strings++;
    return true;
  }
  if (lua_type(L, -1) != LUA_TNUMBER) {
    char why[80];
    snprintf(why, sizeof why, "a key must be a string, not a %s", luaL_typename(L, -1));
    return refuse(L, at, why);
  }
  lua_Number n = lua_tonumber(L, -1);
  if (n < 1 || n > INT_MAX || (lua_Number)(int)n != n) {
    return refuse(L, at, "a key must be a string, or all keys 1, 2, 3, ... of a list");
  }
  s->items++;
  if (n > s->largest) s->largest = n;
  return true;
}

/* What a list lacks: the first index without a value. */
static bool refuse_hole(lua_State *L, int index, const place *at) {
  int hole = 1;
  for (;; hole++) {
    lua_rawgeti(L, index, hole);
    bool nil = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (nil) break;
  }
  const place missing = {.parent = at, .item = (size_t)hole};
  return refuse(L, &missing, "is nil, but the list goes on after it; a list has no holes (pinstripe.null sends null)");
}

static bool find_shape(lua_State *L, int index, shape *s, const place *at) {
  *s = (shape){.marked = is_marked(L, index)};
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (!count_key(L, s, at)) return false;
  }
  if (s->strings > 0 && (s->items > 0 || s->marked)) {
    return refuse(L, at, "a table is either a list (keys 1, 2, 3, ...) or a map (string keys), not both");
  }
  return s->items == (size_t)s->largest || refuse_hole(L, index, at);
}

static bool read_any(lua_State *L, int index, ps_value *into, place *at);

static bool read_items(lua_State *L, int index, size_t count, ps_value *into, const place *at) {
  place item = {.parent = at, .depth = at->depth + 1};
  ps_value_set_list(into);
  for (item.item = 1; item.item <= count; item.item++) {
    lua_rawgeti(L, index, (int)item.item);
    if (!read_any(L, lua_gettop(L), ps_list_add(into), &item)) return false;
    lua_pop(L, 1);
  }
  return true;
}

static bool is_skipped(const char *key, const char *const *skip) {
  for (; skip && *skip; skip++) {
    if (strcmp(key, *skip) == 0) return true;
  }
  return false;
}

static bool read_entries(lua_State *L, int index, ps_value *into, const place *at, const char *const *skip) {
  place entry = {.parent = at, .depth = at->depth + 1};
  ps_value_set_map(into);
  lua_pushnil(L);
  entry.key = lua_gettop(L);
  while (lua_next(L, index)) {
    size_t length;
    const char *key = lua_tolstring(L, entry.key, &length);
    if (!is_skipped(key, skip) && !read_any(L, entry.key + 1, ps_map_setn(into, key, length), &entry)) return false;
    lua_settop(L, entry.key);
  }
  return true;
}

static bool is_inside_itself(const place *at) {
  for (const place *up = at->parent; up; up = up->parent) {
    if (up->table == at->table) return true;
  }
  return false;
}

static bool read_table(lua_State *L, int index, ps_value *into, place *at, const char *const *skip) {
  shape s;
  at->table = lua_topointer(L, index);
  if (is_inside_itself(at)) return refuse(L, at, "is a table that contains itself");
  if (at->depth >= MOST_DEPTH) return refuse(L, at, "is nested too deep (64 tables at most)");
  luaL_checkstack(L, 8, "a table is nested too deep");
  if (!find_shape(L, index, &s, at)) return false;
  if (s.marked || s.items > 0) return read_items(L, index, s.items, into, at);
  return read_entries(L, index, into, at, skip);
}

static bool read_any(lua_State *L, int index, ps_value *into, place *at) {
  size_t length;
  const char *s;
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: ps_value_set_bool(into, lua_toboolean(L, index)); return true;
    case LUA_TNUMBER: return read_number(L, index, into, at);
    case LUA_TSTRING:
      s = lua_tolstring(L, index, &length);
      ps_value_set_strn(into, s, length);
      return true;
    case LUA_TTABLE: return read_table(L, index, into, at, NULL);
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, index)) return refuse_type(L, index, at);
      ps_value_set_null(into);
      return true;
    default: return refuse_type(L, index, at);
  }
}

bool read_value(lua_State *L, int index, ps_value *into, const char *root) {
  place at = {.root = root};
  return read_any(L, absolute_index(L, index), into, &at);
}

bool read_map(lua_State *L, int index, ps_value *into, const char *root, const char *const *skip) {
  place at = {.root = root};
  if (!lua_istable(L, index)) {
    lua_pushfstring(L, "%s must be a table, not a %s", root, luaL_typename(L, index));
    return false;
  }
  if (!read_table(L, absolute_index(L, index), into, &at, skip)) return false;
  if (ps_type(into, NULL) == PS_MAP || ps_count(into) == 0) return true;
  lua_pushfstring(L, "%s must be a table with names as keys, not a list", root);
  return false;
}

/* The names alone, with null for each value. */
static void read_names(lua_State *L, int index, ps_value *into, const char *const *skip) {
  index = absolute_index(L, index);
  ps_value_set_map(into);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    size_t length;
    lua_pop(L, 1);
    const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    if (key && !is_skipped(key, skip)) ps_map_setn(into, key, length);
  }
}

bool read_options(lua_State *L, int index, scratch *s, const char *const *skip,
                  char *(*read)(void *options, const ps_value *map), void *options) {
  if (lua_isnoneornil(L, index)) return true;
  if (!lua_istable(L, index)) {
    lua_pushfstring(L, "options must be a table, not a %s", luaL_typename(L, index));
    return false;
  }
  s->names = ps_value_new();
  read_names(L, index, s->names, skip);
  s->text = read(options, s->names);
  s->options = ps_value_new();
  if (!s->text && !read_map(L, index, s->options, "options", skip)) return false;
  if (!s->text) s->text = read(options, s->options);
  if (s->text) lua_pushstring(L, s->text);
  return !s->text;
}
