/* Values: reading, and building with poison.
 *
 * A built value stands in a slot, which points to its tree. The tree lies in its own arena, so that it is freed at once:
 *
 *   ps_value * ──▶ [tree*|value] ─┐        tree: arena, fault, the root's slot and a spare one
 *                  [tree*|value] ─┴──▶ tree
 *
 * The first fault closes a tree: nothing is written any more, and what should have been a new value is the spare slot,
 * which leads to the same fault. Without memory for a tree there is one constant, closed one for all. */
#include "value.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tree tree;

typedef struct slot {
  tree *owner;
  ps_value value;
} slot;

struct tree {
  ps_arena *arena;
  ps_fault fault;
  slot root, spare;
};

const ps_value ps_null_value = {.type = PS_NULL, .is_last = true};

static const tree no_memory = {
  .fault = {.kind = PS_ERROR_MEMORY, .outcome = PS_OUTCOME_NOT_SENT, .message = "no memory"},
  .root = {(tree *)&no_memory, {.type = PS_NULL, .is_last = true, .built = true}},
  .spare = {(tree *)&no_memory, {.type = PS_NULL, .is_last = true, .built = true}},
};

/* ---- Reading */

const ps_value *ps_map_get(const ps_value *map, const char *key, size_t length) {
  if (!map || map->type != PS_MAP) return NULL;
  const ps_value *v = map->as.last;
  for (size_t left = map->length; left > 0; left--) {
    v = v->next;
    if (v->key_length == length && (length == 0 || memcmp(v->key, key, length) == 0)) return v;
  }
  return NULL;
}

const ps_value *ps_list_get(const ps_value *list, size_t index) {
  if (!list || list->type != PS_LIST || index >= list->length) return NULL;
  const ps_value *v = ps_first(list);
  while (index-- > 0) v = v->next;
  return v;
}

/* An index as it is written: digits, no leading zero. */
static bool read_index(const char *s, size_t length, size_t *index) {
  int64_t i;
  if (!ps_number_int(s, length, &i) || i < 0) return false;
  *index = (size_t)i;
  return true;
}

static const ps_value *get_step(const ps_value *v, const char *name, size_t length) {
  size_t index;
  if (v && v->type == PS_MAP) return ps_map_get(v, name, length);
  return read_index(name, length, &index) ? ps_list_get(v, index) : NULL;
}

const ps_value *ps_get(const ps_value *v, const char *path) {
  bool more = path && *path;
  while (more) {
    size_t length = strcspn(path, ".");
    v = get_step(v, path, length);
    more = path[length] == '.';
    path += length + 1;
  }
  return v ? v : &ps_null_value;
}

ps_value_type ps_type(const ps_value *v, const char *path) { return (ps_value_type)ps_get(v, path)->type; }

const char *ps_strn(const ps_value *v, const char *path, size_t *length) {
  v = ps_get(v, path);
  bool has_text = v->type == PS_STRING || v->type == PS_NUMBER;
  if (length) *length = has_text ? v->length : 0;
  return has_text ? v->as.text : "";
}

const char *ps_str(const ps_value *v, const char *path) { return ps_strn(v, path, NULL); }

int64_t ps_int(const ps_value *v, const char *path) {
  v = ps_get(v, path);
  return v->type == PS_INT ? v->as.integer : 0;
}

bool ps_bool(const ps_value *v, const char *path) {
  v = ps_get(v, path);
  return v->type == PS_BOOL && v->as.boolean;
}

size_t ps_count(const ps_value *v) { return v && (v->type == PS_LIST || v->type == PS_MAP) ? v->length : 0; }

const ps_value *ps_first(const ps_value *v) { return ps_count(v) ? v->as.last->next : NULL; }

const ps_value *ps_next(const ps_value *child) { return child && !child->is_last ? child->next : NULL; }

const char *ps_key(const ps_value *child, size_t *length) {
  if (length) *length = child ? child->key_length : 0;
  return child && child->key ? child->key : "";
}

bool ps_value_is(const ps_value *v, const char *text) {
  return v && v->type == PS_STRING && v->length == strlen(text) && memcmp(v->as.text, text, v->length) == 0;
}

static bool children_equal(const ps_value *a, const ps_value *b) {
  const ps_value *y = ps_first(b);
  for (const ps_value *x = ps_first(a); x; x = ps_next(x), y = ps_next(y)) {
    const ps_value *other = a->type == PS_MAP ? ps_map_get(b, x->key, x->key_length) : y;
    if (!other || !ps_value_equal(x, other)) return false;
  }
  return true;
}

bool ps_value_equal(const ps_value *a, const ps_value *b) {
  a = ps_get(a, NULL);
  b = ps_get(b, NULL);
  if (a->type != b->type || a->length != b->length) return false;
  switch ((ps_value_type)a->type) {
    case PS_BOOL: return a->as.boolean == b->as.boolean;
    case PS_INT: return a->as.integer == b->as.integer;
    case PS_NUMBER:
    case PS_STRING: return memcmp(a->as.text, b->as.text, a->length) == 0;
    case PS_LIST:
    case PS_MAP: return children_equal(a, b);
    default: return true;
  }
}

/* ---- Numbers */

static const char *skip_digits(const char *s, const char *end) {
  while (s < end && *s >= '0' && *s <= '9') s++;
  return s;
}

bool ps_number_valid(const char *text, size_t length) {
  const char *s = text, *end = text + length, *part;
  if (s < end && *s == '-') s++;
  part = s;
  s = s < end && *s == '0' ? s + 1 : skip_digits(s, end);
  if (s == part) return false;
  if (s < end && *s == '.') {
    part = s + 1;
    s = skip_digits(part, end);
    if (s == part) return false;
  }
  if (s < end && (*s == 'e' || *s == 'E')) {
    part = s + 1;
    if (part < end && (*part == '+' || *part == '-')) part++;
    s = skip_digits(part, end);
    if (s == part) return false;
  }
  return s == end;
}

bool ps_number_int(const char *text, size_t length, int64_t *i) {
  bool negative = length > 0 && text[0] == '-';
  size_t at = negative ? 1 : 0, digits = length - at;
  if (digits == 0 || digits > 19 || (text[at] == '0' && length > 1)) return false;
  uint64_t n = 0;
  for (; at < length; at++) {
    unsigned digit = (unsigned)(unsigned char)text[at] - '0';
    if (digit > 9) return false;
    n = n * 10 + digit;
  }
  if (n > (uint64_t)INT64_MAX + negative) return false;
  *i = negative ? (int64_t)-n : (int64_t)n;
  return true;
}

/* As strtod in the C locale. (glibc and musl have that one at hand: there it takes no memory.) */
static double read_number(const char *text) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!c) return strtod(text, NULL);
  double d = strtod_l(text, NULL, c);
  freelocale(c);
  return d;
}

double ps_double(const ps_value *v, const char *path) {
  v = ps_get(v, path);
  if (v->type == PS_INT) return (double)v->as.integer;
  return v->type == PS_NUMBER ? read_number(v->as.text) : 0;
}

/* printf gives "d<point>ddde-dd" in the fewest digits that read back; the point may be anything, so the digits are
 * picked out and placed anew. */
void ps_number_format(ps_buf *out, double d) {
  if (!isfinite(d)) return;
  char text[64], digits[32];
  int count = 0, precision = 0;
  do {
    snprintf(text, sizeof text, "%.*e", precision, fabs(d));
  } while (strtod(text, NULL) != fabs(d) && ++precision < 17);
  const char *exponent = strchr(text, 'e');
  for (const char *s = text; s < exponent; s++) {
    if (*s >= '0' && *s <= '9') digits[count++] = *s;
  }
  int point = atoi(exponent + 1) + 1; /* digits before it; negative: zeros behind it */
  if (d < 0) ps_buf_char(out, '-');
  if (point <= 0) ps_buf_str(out, "0.");
  for (int i = point; i < 0; i++) ps_buf_char(out, '0');
  for (int i = 0; i < count || i < point; i++) {
    if (i > 0 && i == point) ps_buf_char(out, '.');
    ps_buf_char(out, i < count ? digits[i] : '0');
  }
}

/* ---- Building */

static slot *slot_of(const ps_value *v) { return (slot *)((char *)(uintptr_t)v - offsetof(slot, value)); }

/* The tree of `v` if it may be written. */
static tree *open_tree(const ps_value *v) {
  tree *t = v->built ? slot_of(v)->owner : NULL;
  return t && t->fault.kind == PS_ERROR_NONE ? t : NULL;
}

static slot slot_in(tree *t, size_t depth) {
  return (slot){t, {.type = PS_NULL, .is_last = true, .built = true, .depth = (uint8_t)depth}};
}

/* A value outside any container yet. Without memory, the spare one, which is never written as the tree is closed. */
static ps_value *new_value(tree *t, size_t depth) {
  slot *s = ps_arena_alloc(t->arena, sizeof *s);
  if (!s) {
    ps_fault_memory(&t->fault);
    return &t->spare.value;
  }
  *s = slot_in(t, depth);
  return &s->value;
}

static char *copy_text(tree *t, const char *s, size_t length) {
  if (length >= UINT32_MAX) {
    ps_fault_set(&t->fault, PS_ERROR_USAGE, "%zu bytes are more than a string can hold", length);
    return NULL;
  }
  char *copy = ps_arena_strn(t->arena, s, length);
  if (!copy) ps_fault_memory(&t->fault);
  return copy;
}

ps_value *ps_value_new(void) {
  ps_arena *arena = ps_arena_new(2048);
  tree *t = arena ? ps_arena_alloc(arena, sizeof *t) : NULL;
  if (!t) {
    ps_arena_free(arena);
    return (ps_value *)(uintptr_t)&no_memory.root.value;
  }
  t->arena = arena;
  t->fault = (ps_fault){.kind = PS_ERROR_NONE};
  t->root = t->spare = slot_in(t, 0);
  return &t->root.value;
}

void ps_value_free(ps_value *v) {
  tree *t = v && v->built ? slot_of(v)->owner : NULL;
  if (t && v == &t->root.value) ps_arena_free(t->arena);
}

void ps_free(void *memory) { free(memory); }

const ps_fault *ps_value_fault(const ps_value *v) {
  static const ps_fault none = {.kind = PS_ERROR_NONE};
  return v && v->built ? &slot_of(v)->owner->fault : &none;
}

bool ps_value_is_poisoned(const ps_value *v) { return ps_value_fault(v)->kind != PS_ERROR_NONE; }

const char *ps_value_error(const ps_value *v) { return ps_value_fault(v)->message; }

void ps_value_poison(ps_value *v, const ps_fault *fault) {
  tree *t = open_tree(v);
  if (t) t->fault = *fault;
}

void ps_value_fail(ps_value *v, const char *reason) {
  tree *t = open_tree(v);
  if (t) ps_fault_set(&t->fault, PS_ERROR_USAGE, "%s", reason);
}

void ps_value_set_null(ps_value *v) {
  if (open_tree(v)) ps_value_take(v, &ps_null_value);
}

void ps_value_set_bool(ps_value *v, bool b) {
  if (open_tree(v)) ps_value_take(v, &(ps_value){.type = PS_BOOL, .as.boolean = b});
}

void ps_value_set_int(ps_value *v, int64_t i) {
  if (open_tree(v)) ps_value_take(v, &(ps_value){.type = PS_INT, .as.integer = i});
}

static void set_text(ps_value *v, ps_value_type type, const char *s, size_t length) {
  tree *t = open_tree(v);
  const char *text = t ? copy_text(t, s, length) : NULL;
  if (text) ps_value_take(v, &(ps_value){.type = (uint8_t)type, .as.text = text, .length = (uint32_t)length});
}

static void set_number(ps_value *v, const char *text, size_t length) {
  int64_t i;
  if (ps_number_int(text, length, &i)) ps_value_set_int(v, i);
  else set_text(v, PS_NUMBER, text, length);
}

void ps_value_set_number(ps_value *v, const char *text) {
  tree *t = open_tree(v);
  if (!t) return;
  if (text && ps_number_valid(text, strlen(text))) set_number(v, text, strlen(text));
  else ps_fault_set(&t->fault, PS_ERROR_USAGE, "\"%.40s\" is not a number as JSON writes it", text ? text : "");
}

void ps_value_set_double(ps_value *v, double d) {
  tree *t = open_tree(v);
  if (!t) return;
  ps_buf text = PS_BUF_INIT;
  ps_number_format(&text, d);
  if (!isfinite(d)) ps_fault_set(&t->fault, PS_ERROR_USAGE, "a number must be finite, not infinity or NaN");
  else if (text.failed) ps_fault_memory(&t->fault);
  else set_number(v, text.data, text.length);
  ps_buf_dispose(&text);
}

void ps_value_set_strn(ps_value *v, const char *s, size_t length) { set_text(v, PS_STRING, s, length); }

void ps_value_set_str(ps_value *v, const char *s) {
  if (s) set_text(v, PS_STRING, s, strlen(s));
  else ps_value_fail(v, "a string is NULL; ps_value_set_null sets null");
}

static const char *type_name(uint8_t type) {
  static const char *const names[] = {"null", "a boolean", "an integer", "a number", "a string", "a list", "a map"};
  return names[type];
}

static bool within_depth(tree *t, const ps_value *v) {
  if (v->depth < PS_VALUE_DEPTH) return true;
  ps_fault_set(&t->fault, PS_ERROR_USAGE, "lists and maps are nested deeper than %d", PS_VALUE_DEPTH);
  return false;
}

static void set_container(ps_value *v, ps_value_type type) {
  tree *t = open_tree(v);
  if (t && within_depth(t, v)) ps_value_take(v, &(ps_value){.type = (uint8_t)type});
}

void ps_value_set_list(ps_value *v) { set_container(v, PS_LIST); }

void ps_value_set_map(ps_value *v) { set_container(v, PS_MAP); }

/* `v` as a list or map that may get another child, null becoming one: its tree, or NULL. */
static tree *open_container(ps_value *v, ps_value_type type, const char *key, size_t length) {
  if (v->type == PS_NULL) set_container(v, type);
  tree *t = open_tree(v);
  if (!t || v->type == type) return t;
  if (type == PS_LIST)
    ps_fault_set(&t->fault, PS_ERROR_USAGE, "an item for %s: only a list has items", type_name(v->type));
  else
    ps_fault_set(&t->fault, PS_ERROR_USAGE, "the key \"%.*s\" for %s: only a map has keys",
                 (int)(length < 80 ? length : 80), key, type_name(v->type));
  return NULL;
}

/* A new last child. `key` is NULL in a list, and in a map not there yet. */
static ps_value *add_child(tree *t, ps_value *parent, const char *key, size_t length) {
  ps_value *child = new_value(t, parent->depth + 1u);
  if (key) key = copy_text(t, key, length);
  if (t->fault.kind != PS_ERROR_NONE) return &t->spare.value;
  child->key = key;
  child->key_length = (uint32_t)(key ? length : 0);
  ps_value_append(parent, child);
  return child;
}

static ps_value *spare_of(ps_value *v) { return v->built ? &slot_of(v)->owner->spare.value : v; }

ps_value *ps_map_setn(ps_value *map, const char *key, size_t length) {
  tree *t = open_container(map, PS_MAP, key, length);
  if (!t) return spare_of(map);
  const ps_value *present = ps_map_get(map, key, length);
  return present ? &slot_of(present)->value : add_child(t, map, key, length);
}

ps_value *ps_map_set(ps_value *map, const char *key) {
  if (!key) ps_value_fail(map, "the key of a map is NULL");
  return ps_map_setn(map, key ? key : "", key ? strlen(key) : 0);
}

ps_value *ps_list_add(ps_value *list) {
  tree *t = open_container(list, PS_LIST, NULL, 0);
  return t ? add_child(t, list, NULL, 0) : spare_of(list);
}

/* Fills `to`, which stands outside `from`, so that copying into one's own descendant ends. */
static void copy_content(tree *t, ps_value *to, const ps_value *from) {
  if (from->type == PS_STRING || from->type == PS_NUMBER) {
    set_text(to, (ps_value_type)from->type, from->as.text, from->length);
  } else if (from->type == PS_LIST || from->type == PS_MAP) {
    set_container(to, (ps_value_type)from->type);
    for (const ps_value *c = ps_first(from); c && t->fault.kind == PS_ERROR_NONE; c = ps_next(c)) {
      copy_content(t, add_child(t, to, c->key, c->key_length), c);
    }
  } else if (open_tree(to)) {
    ps_value_take(to, from);
  }
}

void ps_value_copy(ps_value *to, const ps_value *from) {
  from = ps_get(from, NULL);
  if (ps_value_is_poisoned(from)) ps_value_poison(to, ps_value_fault(from));
  tree *t = open_tree(to);
  if (!t) return;
  ps_value *copy = new_value(t, to->depth);
  copy_content(t, copy, from);
  if (t->fault.kind == PS_ERROR_NONE) ps_value_take(to, copy);
}

ps_value *ps_value_clone(const ps_value *v, ps_fault *fault) {
  if (!v) return NULL;
  ps_value *copy = ps_value_new();
  ps_value_copy(copy, v);
  if (fault->kind == PS_ERROR_NONE) *fault = *ps_value_fault(copy);
  return copy;
}

/* ---- Paths of ps_params */

/* The child of `v` that brackets name: an item, a new item, or a key. Digits are an index in a list, and begin one with
 * 0; else they are a key, which a form shows the same way. */
static ps_value *bracket_step(ps_value *v, const char *name, size_t length) {
  size_t index, count = ps_count(v);
  if (length == 0) return ps_list_add(v);
  bool item = read_index(name, length, &index) && (v->type == PS_LIST || (v->type == PS_NULL && index == 0));
  if (!item) return ps_map_setn(v, name, length);
  if (index < count) return &slot_of(ps_list_get(v, index))->value;
  if (index == count) return ps_list_add(v);
  tree *t = open_tree(v);
  if (t) ps_fault_set(&t->fault, PS_ERROR_USAGE, "the index [%zu] leaves a gap: the next one is [%zu]", index, count);
  return spare_of(v);
}

ps_value *ps_value_at_path(ps_value *map, const char *path) {
  size_t length = strcspn(path, "[]");
  ps_value *v = length ? ps_map_setn(map, path, length) : NULL;
  for (const char *s = path + length; v && *s; s += length + 2) {
    length = *s == '[' ? strcspn(s + 1, "[]") : 0;
    v = *s == '[' && s[length + 1] == ']' ? bracket_step(v, s + 1, length) : NULL;
  }
  if (v) return v;
  tree *t = open_tree(map);
  if (t) ps_fault_set(&t->fault, PS_ERROR_USAGE, "\"%.80s\" is not a path like a, a[b][c], a[0] or a[]", path);
  return spare_of(map);
}

ps_value *ps_params(const char *path, ...) {
  ps_value *root = ps_value_new();
  ps_value_set_map(root);
  va_list arguments;
  va_start(arguments, path);
  while (path) {
    const char *s = va_arg(arguments, const char *);
    tree *t = s ? NULL : open_tree(root);
    if (s) ps_value_set_str(ps_value_at_path(root, path), s);
    else if (t) ps_fault_set(&t->fault, PS_ERROR_USAGE, "\"%.80s\" has no value: it is NULL", path);
    path = s ? va_arg(arguments, const char *) : NULL;
  }
  va_end(arguments);
  return root;
}
