/* sandbox.host, what the sandbox's Lua needs from C: JSON and form text to tables and back, copies, routes, dice, time.
 *
 * Form text becomes nested tables that keep the order in which names were sent, for errors speak of the first one:
 *
 *   a=1&b[x]=2&b[y]=3    { "a", "b", a = "1", b = { "x", "y", x = "2", y = "3" } }
 *
 * Keys stand at 1..n, values under their keys; `a[]=`, `a[0]=` and a repeated `a=` all make a table keyed "0", "1", ...
 * Whether such a table is a list only the operation's types can tell.
 *
 * JSON is printed as the API prints it: `id` and `object` first, then by name, two spaces deep. A `scratch` userdata, an
 * upvalue of all functions, owns what they build, so that a Lua error leaks nothing. */
#include "host.h"

#include "json.h"
#include "module.h"

#include <stdlib.h>
#include <time.h>

enum { MOST_KEPT = 1 << 20, MOST_DEPTH = 64, MOST_FORM_DEPTH = 16, ID_LENGTH = 64, DIGITS_A_ROLL = 4 };
enum { FEW_KEYS = 40, FEW_SPACES = 16, MANY_VALUES = 32 };

#define HOST_TYPE "sandbox.host"

typedef struct key {
  const char *text;
  size_t length;
  uint64_t place; /* in the order of printing: what `text` begins with, as a number */
  int value;      /* its place on Lua's stack */
} key;

typedef struct host {
  ps_buf out; /* text being made */
  key *keys;  /* of the maps being printed, one behind the other */
  size_t count, capacity;
  int depth; /* of what is being printed */
  uint64_t dice;
} host;

static host *to_host(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static int host_gc(lua_State *L) {
  host *h = luaL_checkudata(L, 1, HOST_TYPE);
  ps_buf_dispose(&h->out);
  free(h->keys);
  h->keys = NULL;
  return 0;
}

/* What was made, which is made in the same place each time, unless it was large. */
static int push_out(lua_State *L, host *h) {
  if (h->out.failed) {
    ps_buf_dispose(&h->out);
    return luaL_error(L, "not enough memory");
  }
  lua_pushlstring(L, ps_buf_text(&h->out), h->out.length);
  if (h->out.capacity > MOST_KEPT) ps_buf_dispose(&h->out);
  return 1;
}

/* ---- Tables to JSON ---- */

/* `id` and `object` come first, then all by the first bytes of their names. Where two are alike, all of the name decides. */
static uint64_t place_of(const char *text, size_t length) {
  const uint64_t id = UINT64_C(0x6964) << 48, object = UINT64_C(0x6f626a656374) << 16;
  unsigned char b[8] = {0};
  uint64_t place = 0;
  if (length >= sizeof b) memcpy(b, text, sizeof b);
  else
    for (size_t i = 0; i < length; i++) b[i] = (unsigned char)text[i];
  for (size_t i = 0; i < sizeof b; i++) place = place << 8 | b[i];
  if (place == id && length == 2) return 0;
  if (place == object && length == 6) return 1;
  return place < 2 ? 2 : place;
}

static int compare_keys(const void *a, const void *b) {
  const key *x = a, *y = b;
  if (x->place != y->place) return x->place < y->place ? -1 : 1;
  return strcmp(x->text, y->text);
}

/* Few keys, as an object has, are sorted faster without calls. */
static void sort_keys(key *keys, size_t count) {
  if (count > FEW_KEYS) {
    qsort(keys, count, sizeof *keys, compare_keys);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    key k = keys[i];
    size_t j = i;
    for (; j > 0 && compare_keys(&k, &keys[j - 1]) < 0; j--) keys[j] = keys[j - 1];
    keys[j] = k;
  }
}

/* Notes a key, whose text belongs to a table on the stack. */
static void push_key(lua_State *L, host *h, const char *text, size_t length, int value) {
  if (h->count == h->capacity) {
    size_t capacity = h->capacity ? 2 * h->capacity : 256;
    key *keys = realloc(h->keys, capacity * sizeof *keys);
    if (!keys) {
      luaL_error(L, "not enough memory");
      return;
    }
    h->keys = keys;
    h->capacity = capacity;
  }
  h->keys[h->count++] = (key){text, length, place_of(text, length), value};
}

/* ps_buf_reserve, without a call where there is room, as there mostly is. */
static bool reserve(ps_buf *b, size_t more) {
  return (!b->failed && more < b->capacity - b->length) || ps_buf_reserve(b, more);
}

static void print_char(host *h, char c) {
  if (reserve(&h->out, 1)) h->out.data[h->out.length++] = c;
}

/* What stands before an item: a comma, but for the first one, and a new line, which also stands after the last one. */
static void new_line(host *h, bool first, int indent) {
  size_t spaces = indent > 0 ? 2 * (size_t)indent : 0;
  if (!reserve(&h->out, spaces + 2 + FEW_SPACES)) return;
  char *to = h->out.data + h->out.length;
  if (!first) *to++ = ',';
  if (indent >= 0) *to++ = '\n';
  memset(to, ' ', FEW_SPACES); /* of a size that is known, it takes no call */
  if (spaces > FEW_SPACES) memset(to, ' ', spaces);
  h->out.length = (size_t)(to - h->out.data) + spaces;
}

/* The high bits of bytes that are not printed as they are: below a space, DEL or above, a quote, a backslash (or,
 * harmlessly, what follows such a one). */
static uint64_t odd_bytes(const char *text, size_t length) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  uint64_t word = ' ' * ones;
  memcpy(&word, text, length);
  uint64_t quote = word ^ '"' * ones, backslash = word ^ '\\' * ones;
  return (word | (word + ones) | (word - ' ' * ones) | (quote - ones) | (backslash - ones)) & 0x80 * ones;
}

static bool is_plain(const char *text, size_t length) {
  const size_t word = sizeof(uint64_t);
  uint64_t odd = 0;
  if (length < word) return !odd_bytes(text, length);
  for (size_t i = 0; i + word < length && !odd; i += word) odd = odd_bytes(text + i, word);
  return !(odd | odd_bytes(text + length - word, word));
}

/* Most text is plain, and goes out as it is. */
static void print_text(host *h, const char *text, size_t length) {
  if (!is_plain(text, length) || !reserve(&h->out, length + 2)) {
    ps_json_write_string(&h->out, text, length);
    return;
  }
  char *to = h->out.data + h->out.length;
  *to = '"';
  memcpy(to + 1, text, length);
  to[length + 1] = '"';
  h->out.length += length + 2;
}

static void print(lua_State *L, host *h, int index, int indent);

static int deeper(int indent) { return indent < 0 ? indent : indent + 1; }

static void print_list(lua_State *L, host *h, int list, int indent) {
  lua_Integer count = (lua_Integer)raw_length(L, list);
  print_char(h, '[');
  for (lua_Integer i = 1; i <= count; i++) {
    new_line(h, i == 1, deeper(indent));
    lua_rawgeti(L, list, i);
    print(L, h, lua_gettop(L), deeper(indent));
    lua_pop(L, 1);
  }
  if (count > 0) new_line(h, true, indent);
  print_char(h, ']');
}

/* Notes the keys of a map, sorted, from `first` on; their values stay on the stack. */
static void take_apart(lua_State *L, host *h, int map, size_t first) {
  for (lua_pushnil(L); lua_next(L, map);) {
    size_t length;
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "a JSON object's keys are strings");
    if ((h->count - first) % MANY_VALUES == 0) luaL_checkstack(L, MANY_VALUES + 8, "too much for JSON");
    const char *text = lua_tolstring(L, -2, &length);
    lua_insert(L, -2);
    push_key(L, h, text, length, lua_gettop(L) - 1);
  }
  sort_keys(h->keys + first, h->count - first);
}

static void print_map(lua_State *L, host *h, int map, int indent) {
  int top = lua_gettop(L);
  size_t first = h->count;
  take_apart(L, h, map, first);
  size_t end = h->count;
  print_char(h, '{');
  for (size_t i = first; i < end; i++) {
    key k = h->keys[i];
    new_line(h, i == first, deeper(indent));
    print_text(h, k.text, k.length);
    print_char(h, ':');
    if (indent >= 0) print_char(h, ' ');
    print(L, h, k.value, deeper(indent));
  }
  if (end > first) new_line(h, true, indent);
  print_char(h, '}');
  h->count = first;
  lua_settop(L, top);
}

static bool is_list(lua_State *L, int index) {
  if (raw_length(L, index) > 0) return true;
  if (!lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, ARRAY_TYPE);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static void print_number(lua_State *L, host *h, int index) {
  if (lua_isinteger(L, index)) ps_buf_int(&h->out, (int64_t)lua_tointeger(L, index));
  else ps_number_format(&h->out, lua_tonumber(L, index));
}

static void print_string(lua_State *L, host *h, int index) {
  size_t length;
  const char *text = lua_tolstring(L, index, &length);
  print_text(h, text, length);
}

static void print_table(lua_State *L, host *h, int index, int indent) {
  luaL_checkstack(L, 8, "too deep for JSON");
  if (++h->depth > MOST_DEPTH) luaL_error(L, "too deep for JSON");
  if (is_list(L, index)) print_list(L, h, index, indent);
  else print_map(L, h, index, indent);
  h->depth--;
}

/* Prints the value at `index`, which counts from the bottom. A negative indent: on one line. */
static void print(lua_State *L, host *h, int index, int indent) {
  int type = lua_type(L, index);
  if (type == LUA_TSTRING) print_string(L, h, index);
  else if (type == LUA_TTABLE) print_table(L, h, index, indent);
  else if (type == LUA_TLIGHTUSERDATA) ps_buf_add(&h->out, "null", 4);
  else if (type == LUA_TNUMBER) print_number(L, h, index);
  else if (type == LUA_TBOOLEAN) ps_buf_str(&h->out, lua_toboolean(L, index) ? "true" : "false");
  else luaL_error(L, "a %s is no JSON", lua_typename(L, type));
}

/* host.encode(value, pretty) → text; the pretty one ends with a newline */
static int host_encode(lua_State *L) {
  host *h = to_host(L);
  bool pretty = lua_toboolean(L, 2);
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  h->out.length = h->count = 0;
  h->depth = 0;
  print(L, h, 1, pretty ? 0 : -1);
  if (pretty) print_char(h, '\n');
  return push_out(L, h);
}

/* ---- JSON to tables ---- */

typedef struct parsed {
  ps_arena *arena;
  char *text;
} parsed;

#define PARSED_TYPE "sandbox.parsed"

static int parsed_gc(lua_State *L) {
  parsed *p = luaL_checkudata(L, 1, PARSED_TYPE);
  ps_arena_free(p->arena);
  free(p->text);
  *p = (parsed){NULL, NULL};
  return 0;
}

static parsed *push_parsed(lua_State *L, const char *text, size_t length) {
  parsed *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (parsed){NULL, NULL};
  luaL_setmetatable(L, PARSED_TYPE);
  p->arena = ps_arena_new(2 * length);
  p->text = malloc(length + 1);
  if (!p->arena || !p->text) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  memcpy(p->text, text, length);
  p->text[length] = 0;
  return p;
}

/* host.decode(text) → value; or nil and what is wrong */
static int host_decode(lua_State *L) {
  size_t length;
  ps_fault fault = {0};
  const char *text = luaL_checklstring(L, 1, &length);
  parsed *p = push_parsed(L, text, length);
  const ps_value *v = ps_json_parse(p->arena, p->text, length, &fault);
  if (v) {
    push_value(L, v, NULL, NULL);
  } else {
    lua_pushnil(L);
    lua_pushstring(L, fault.message);
  }
  lua_pushcfunction(L, parsed_gc);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 0);
  return v ? 1 : 2;
}

/* ---- Copies ---- */

/* Puts a copy in the place of the table on the top of the stack. All its pairs are on the stack before the copy is made,
 * with room for just so many. */
static void copy(lua_State *L, int depth) {
  if (lua_type(L, -1) != LUA_TTABLE) return;
  int from = lua_gettop(L), count = 0, items = (int)raw_length(L, from);
  luaL_checkstack(L, 6, "too deep to copy");
  for (lua_pushnil(L); lua_next(L, from); count++) {
    luaL_checkstack(L, 6, "too much to copy");
    if (depth > 0) copy(L, depth - 1);
    lua_pushvalue(L, -2);
  }
  lua_createtable(L, items, count > items ? count - items : 0);
  if (lua_getmetatable(L, from)) lua_setmetatable(L, -2);
  lua_replace(L, from);
  while (lua_gettop(L) > from) lua_rawset(L, from);
}

/* host.copy(value) → the same, with tables of its own */
static int host_copy(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  copy(L, MOST_DEPTH);
  return 1;
}

/* host.fields(t) → a table of its own with the same fields */
static int host_fields(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  copy(L, 0);
  return 1;
}

/* ---- Form text to tables ---- */

/* A cursor over form text. */
typedef struct form {
  const char *at, *end;
} form;

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Pushes what was escaped from `s` to `end`. */
static void push_unescaped(lua_State *L, host *h, const char *s, const char *end) {
  size_t length = (size_t)(end - s);
  if (!memchr(s, '%', length) && !memchr(s, '+', length)) {
    lua_pushlstring(L, s, length);
    return;
  }
  h->out.length = 0;
  char *to = ps_buf_reserve(&h->out, length) ? h->out.data : NULL;
  for (; to && s < end; s++) {
    char c = *s;
    if (c == '+') c = ' ';
    if (c == '%' && end - s > 2 && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
      c = (char)(16 * hex(s[1]) + hex(s[2]));
      s += 2;
    }
    to[h->out.length++] = c;
  }
  push_out(L, h);
}

/* The same; false: it is no UTF-8. */
static bool push_text(lua_State *L, host *h, const char *s, const char *end) {
  size_t length;
  push_unescaped(L, h, s, end);
  const char *text = lua_tolstring(L, -1, &length);
  return ps_utf8_valid(text, length);
}

/* Appends the key on the top of the stack to those of `table`, which keep their order. */
static void note_key(lua_State *L, int table) {
  lua_pushvalue(L, -1);
  lua_rawseti(L, table, (lua_Integer)raw_length(L, table) + 1);
}

/* Pushes the key that the next item of `table` gets. */
static void push_next_item(lua_State *L, int table) { lua_pushfstring(L, "%d", (int)raw_length(L, table)); }

/* Replaces `table` by the table under the key on the top of the stack, made as needed; false: there is a plain value. */
static bool enter(lua_State *L, int table) {
  lua_pushvalue(L, -1);
  lua_rawget(L, table);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    note_key(L, table);
    lua_createtable(L, 2, 2);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, table);
  }
  bool entered = lua_istable(L, -1);
  lua_replace(L, table);
  lua_pop(L, 1);
  return entered;
}

/* Sets the key at -2 of `table` to the value at -1, and pops both. A second value makes a list of it and the first. */
static void set_value(lua_State *L, int table) {
  lua_pushvalue(L, -2);
  lua_rawget(L, table);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    note_key(L, table);
    lua_pop(L, 1);
    lua_rawset(L, table);
    return;
  }
  int old = lua_gettop(L), value = old - 1;
  if (!lua_istable(L, old)) {
    lua_newtable(L);
    lua_pushliteral(L, "0");
    lua_pushvalue(L, old);
    set_value(L, old + 1);
    lua_replace(L, old);
  }
  push_next_item(L, old);
  lua_pushvalue(L, value);
  set_value(L, old);
  lua_remove(L, value);
  lua_rawset(L, table);
}

/* Pushes the key within "[...]" that begins at `*s` and steps over it; false: there is none, or it is no UTF-8. "[]" is the
 * next item. */
static bool push_bracketed(lua_State *L, host *h, const char **s, const char *end, int table) {
  if (*s >= end || **s != '[') return false;
  const char *close = memchr(*s, ']', (size_t)(end - *s));
  if (!close) return false;
  const char *from = *s + 1;
  *s = close + 1;
  if (close > from) return push_text(L, h, from, close);
  push_next_item(L, table);
  return true;
}

/* Walks from `root` to where the name from `s` to `end` belongs: leaves the table and the last key on the stack. */
static bool push_place(lua_State *L, host *h, int root, const char *s, const char *end) {
  lua_pushvalue(L, root);
  int table = lua_gettop(L);
  const char *bracket = memchr(s, '[', (size_t)(end - s));
  if (bracket == s) bracket = NULL;
  if (!push_text(L, h, s, bracket ? bracket : end)) return false;
  if (!bracket) return true;
  for (int depth = 0;; depth++) {
    const char *next = bracket;
    if (next >= end) return true;
    if (depth > MOST_FORM_DEPTH || !enter(L, table)) return false;
    if (!push_bracketed(L, h, &bracket, end, table)) return false;
  }
}

/* Many clients escape the brackets of structure as well; then nothing tells them from those inside a key. */
static bool push_pair_place(lua_State *L, host *h, int root, const char *s, const char *end) {
  if (memchr(s, '[', (size_t)(end - s))) return push_place(L, h, root, s, end);
  size_t length;
  if (!push_text(L, h, s, end)) return false;
  const char *name = lua_tolstring(L, -1, &length);
  bool structured = memchr(name, '[', length) != NULL;
  if (structured) return push_place(L, h, root, name, name + length);
  lua_pushvalue(L, root);
  lua_insert(L, -2);
  return true;
}

static bool read_pair(lua_State *L, host *h, int root, const char *s, const char *end) {
  const char *equals = memchr(s, '=', (size_t)(end - s));
  if (!push_pair_place(L, h, root, s, equals ? equals : end)) return false;
  bool valid = push_text(L, h, equals ? equals + 1 : end, end);
  set_value(L, lua_gettop(L) - 2);
  return valid;
}

/* host.form(text) → table; or nil and the name at fault */
static int host_form(lua_State *L) {
  size_t length;
  host *h = to_host(L);
  const char *s = luaL_checklstring(L, 1, &length), *end = s + length;
  lua_settop(L, 1);
  lua_createtable(L, 4, 4);
  while (s < end) {
    const char *stop = memchr(s, '&', (size_t)(end - s));
    if (!stop) stop = end;
    if (stop > s && !read_pair(L, h, 2, s, stop)) {
      lua_pushnil(L);
      push_unescaped(L, h, s, stop);
      return 2;
    }
    lua_settop(L, 2);
    s = stop + 1;
  }
  return 1;
}

/* ---- Routes ---- */

/* Pushes the segments of `path` that are ids in `pattern`, unescaped. */
static int push_ids(lua_State *L, host *h, const char *pattern, const char *path) {
  int count = 0;
  while (*pattern && *path) {
    size_t length = strcspn(path + 1, "/") + 1;
    if (pattern[1] == '{') {
      push_unescaped(L, h, path + 1, path + length);
      count++;
    }
    pattern += strcspn(pattern + 1, "/") + 1;
    path += length;
  }
  return count;
}

/* host.route(method, path) → operation's id, the ids in the path; or nothing */
static int host_route(lua_State *L) {
  const char *path = luaL_checkstring(L, 2);
  const ps_api_operation *op = *path == '/' ? ps_operation_route(luaL_checkstring(L, 1), path) : NULL;
  if (!op) return 0;
  luaL_checkstack(L, 12, "too many ids");
  lua_pushstring(L, ps_operation_id(op));
  return 1 + push_ids(L, to_host(L), ps_operation_path(op), path);
}

/* The object that a type is, or is first of all. */
static const char *object_of(const ps_api_type *t) {
  while (t && ps_type_kind(t) == PS_TYPE_UNION) t = ps_type_variant(t, 0);
  return t && ps_type_kind(t) == PS_TYPE_REF ? ps_type_name(t) : NULL;
}

/* host.retrievals() → {object = path at which its ids are retrieved}; of several, the first that is not for tests */
static int host_retrievals(lua_State *L) {
  lua_newtable(L);
  for (const ps_api_operation *op = ps_operation_next(NULL); op; op = ps_operation_next(op)) {
    const char *object = object_of(ps_operation_returns(op)), *path = ps_operation_path(op);
    size_t length = strlen(path);
    if (!object || strcmp(ps_operation_method(op), "GET") != 0 || path[length - 1] != '}') continue;
    if (lua_getfield(L, -1, object) == LUA_TNIL) {
      lua_pushstring(L, path);
      lua_setfield(L, -3, object);
    }
    lua_pop(L, 1);
  }
  return 1;
}

/* ---- Dice and time ---- */

/* splitmix64: one word of state, so that a snapshot can keep it. */
static uint64_t roll(host *h) {
  uint64_t z = (h->dice += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* host.id(n, prefix or nil) → n letters and digits, behind the prefix */
static int host_id(lua_State *L) {
  static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  host *h = to_host(L);
  char id[2 * ID_LENGTH];
  size_t length = 0;
  lua_Integer n = luaL_checkinteger(L, 1);
  const char *prefix = luaL_optlstring(L, 2, "", &length);
  luaL_argcheck(L, n > 0 && n <= ID_LENGTH, 1, "from 1 to 64");
  luaL_argcheck(L, length <= ID_LENGTH, 2, "at most 64 bytes");
  memcpy(id, prefix, length);
  for (lua_Integer i = 0; i < n;) {
    uint64_t dice = roll(h) >> 32; /* a fraction of 2^32: its digits in base 62, the highest first */
    for (lua_Integer end = i + DIGITS_A_ROLL < n ? i + DIGITS_A_ROLL : n; i < end; i++) {
      dice = (dice & UINT32_MAX) * 62;
      id[length++] = digits[dice >> 32];
    }
  }
  lua_pushlstring(L, id, length);
  return 1;
}

/* host.random() → a number from 0 on, below 1 */
static int host_random(lua_State *L) {
  lua_pushnumber(L, (lua_Number)(roll(to_host(L)) >> 11) / 9007199254740992.0);
  return 1;
}

/* host.dice(state or nil) → the state of the dice, which is then set to the one given */
static int host_dice(lua_State *L) {
  host *h = to_host(L);
  lua_pushinteger(L, (lua_Integer)h->dice);
  if (!lua_isnoneornil(L, 1)) h->dice = (uint64_t)luaL_checkinteger(L, 1);
  return 1;
}

/* host.time() → seconds since 1970 */
static int host_time(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

/* ---- The module ---- */

/* host.array(t) → t, marked as a list */
static int host_array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, ARRAY_TYPE);
  return 1;
}

/* host.is_array(value) → whether JSON shows it as a list */
static int host_is_array(lua_State *L) {
  lua_pushboolean(L, lua_istable(L, 1) && is_list(L, 1));
  return 1;
}

static void new_type(lua_State *L, const char *name, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

static const luaL_Reg host_functions[] = {
  {"array", host_array},   {"is_array", host_is_array},
  {"encode", host_encode}, {"decode", host_decode},
  {"copy", host_copy},     {"fields", host_fields},
  {"form", host_form},     {"route", host_route},
  {"id", host_id},         {"retrievals", host_retrievals},
  {"random", host_random}, {"dice", host_dice},
  {"time", host_time},     {NULL, NULL},
};

int luaopen_sandbox_host(lua_State *L) {
  new_type(L, HOST_TYPE, host_gc);
  new_type(L, PARSED_TYPE, parsed_gc);
  luaL_newlibtable(L, host_functions);
  host *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (host){PS_BUF_INIT, NULL, 0, 0, 0, 0};
  luaL_setmetatable(L, HOST_TYPE);
  luaL_setfuncs(L, host_functions, 1);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
