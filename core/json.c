/* JSON text to values and back. yajl reads, and is kept from all that it does wrong:
 *
 *   text ──lone surrogates replaced──▶ text ──yajl──▶ callbacks ──▶ nodes and strings in the arena
 *                                                └──▶ then the checks that it lacks: end, UTF-8, white space
 *
 * yajl's memory is one block, cut into pieces from front to back, and can't run out. It holds 1 KiB of structs, stack
 * and message, the buffer of decoded strings, and that of a token which the end of the text cuts off. The buffers hold
 * disjoint parts of the text; each begins with 2 KiB and doubles, so it ends below twice what it holds. It grows in place
 * while it is the last piece; that is lost once, to the stack at a depth of 128, and leaves a piece below 2 KiB or
 * twice what was held by then. In sum: below 2 * length + 8 KiB. */
#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

enum {
  YAJL_EXTRA = 8192,
  KEYS = 256,     /* in the arena already, at hand to be used again */
  NODES = 64,     /* values are taken from the arena so many at once */
  SEEN_WORDS = 8, /* a filter of 512 bits over the keys of an open map */
  FEW_KEYS = 128, /* a map of so many is searched for a key that the filter knows; a larger one is sorted at its end */
  ARENA_MOST = 4 << 20 /* taken at once */
};

typedef struct level {
  ps_value *container;
  const ps_value *fields; /* what is wanted of its maps, itself or its items; NULL: everything */
  uint64_t seen[SEEN_WORDS];
} level;

typedef struct known_key {
  const char *key;
  uint32_t length;
} known_key;

typedef struct parser {
  ps_arena *arena;
  ps_value *root;
  ps_value *nodes, *nodes_end; /* taken from the arena, not used yet */
  const char *key;             /* of the value to come */
  uint32_t key_length;
  const ps_value *fields; /* as a level's, of the value to come */
  bool unwanted;          /* the value to come is not built */
  size_t skipped;         /* lists and maps that are open and not built */
  ps_value *replaced;     /* the value with this key so far: the last one wins, in the place of the first */
  const char *problem;    /* why a callback stopped; NULL: no memory */
  size_t depth;
  char *last, *cut, *end;     /* yajl's memory: the last piece, what is left */
  known_key known[KEYS];      /* by hash: objects of one kind share their keys */
  level open[PS_VALUE_DEPTH]; /* the first `depth` are set */
} parser;

/* ---- yajl's memory */

static void *piece_new(void *context, size_t size) {
  parser *p = context;
  size = (size + 15) & ~(size_t)15;
  if (size > (size_t)(p->end - p->cut)) return NULL;
  p->last = p->cut;
  p->cut += size;
  return p->last;
}

static void *piece_grow(void *context, void *piece, size_t size) {
  parser *p = context;
  char *old = piece;
  if (old && old == p->last) p->cut = old;
  char *grown = piece_new(p, size);
  if (old && grown && grown != old) memcpy(grown, old, size < (size_t)(grown - old) ? size : (size_t)(grown - old));
  return grown;
}

static void piece_free(void *context, void *piece) { (void)context, (void)piece; }

/* ---- Duplicate keys */

static uint64_t key_hash(const unsigned char *key, size_t length) {
  uint64_t head = 0, tail = 0;
  if (length >= 8) {
    memcpy(&head, key, 8);
    memcpy(&tail, key + length - 8, 8);
  } else if (length >= 4) {
    memcpy(&head, key, 4);
    memcpy(&tail, key + length - 4, 4);
  } else if (length) {
    head = (uint64_t)key[0] << 16 | (uint64_t)key[length / 2] << 8 | key[length - 1];
  }
  return (head ^ (tail << 23 | tail >> 41) ^ length) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Notes the key; true if the filter may have seen it before. */
static bool seen_before(level *l, uint64_t hash) {
  uint64_t *word = &l->seen[hash >> 61], bit = UINT64_C(1) << (hash >> 55 & 63);
  bool seen = *word & bit;
  *word |= bit;
  return seen;
}

typedef struct entry {
  ps_value *value;
  uint32_t place;
} entry;

static int key_order(const ps_value *a, const ps_value *b) {
  if (a->key_length != b->key_length) return a->key_length < b->key_length ? -1 : 1;
  return memcmp(a->key, b->key, a->key_length);
}

static int entry_order(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order = key_order(x->value, y->value);
  return order ? order : x->place < y->place ? -1 : 1;
}

/* In linear time but for the sorting, whatever the keys: no text makes reading slow. */
static bool drop_duplicates(ps_value *map) {
  uint32_t count = map->length;
  entry *entries = malloc(count * sizeof *entries);
  if (!entries) return false;
  ps_value *v = map->as.last->next, *next;
  for (uint32_t i = 0; i < count; i++, v = v->next) entries[i] = (entry){v, i};
  qsort(entries, count, sizeof *entries, entry_order);
  for (uint32_t i = count - 1; i > 0; i--) {
    if (key_order(entries[i - 1].value, entries[i].value) != 0) continue;
    ps_value_take(entries[i - 1].value, entries[i].value);
    entries[i].value->key = NULL;
  }
  free(entries);
  v = map->as.last->next;
  ps_value_take(map, &(ps_value){.type = PS_MAP});
  for (; count > 0; v = next, count--) {
    next = v->next;
    if (v->key) ps_value_append(map, v);
  }
  return true;
}

/* ---- What is not wanted */

/* What objects and pages are known by, and paging goes by: one word of each length. */
static bool is_structural(const char *key, size_t length) {
  static const char words[18][18] = {
    [2] = "id",        [3] = "url",          [6] = "object",         [8] = "has_more",
    [9] = "next_page", [11] = "total_count", [13] = "next_page_url", [17] = "previous_page_url"};
  return length < 18 && *words[length] && memcmp(words[length], key, length) == 0;
}

/* Whether the value of `key` is wanted in the map `l`, which has fields, and what of it. The outermost map is left as it is,
 * but for the items of its `data`; the items of any other page may be named as its own fields. */
static bool choose(parser *p, const level *l, const char *key, size_t length) {
  const ps_value *named = p->skipped ? NULL : ps_map_get(l->fields, key, length);
  bool data = length == 4 && memcmp(key, "data", 4) == 0;
  p->fields = data && !named ? l->fields : p->depth > 1 && named && named->type == PS_MAP ? named : NULL;
  p->unwanted = p->skipped || !(data || named || p->depth == 1 || is_structural(key, length));
  return !p->unwanted;
}

/* Passes over a value. */
static int skip(parser *p) {
  p->unwanted = p->skipped > 0;
  return 1;
}

/* ---- yajl's callbacks: false stops it */

static ps_value *add_value(parser *p, ps_value_type type) {
  ps_value *v = p->replaced;
  if (!v) {
    if (p->nodes == p->nodes_end) {
      p->nodes = ps_arena_alloc(p->arena, NODES * sizeof *p->nodes);
      if (!p->nodes) return NULL;
      p->nodes_end = p->nodes + NODES;
    }
    v = p->nodes++;
    *v = (ps_value){.key = p->key, .key_length = p->key_length, .type = (uint8_t)type, .is_last = true};
    if (p->depth) ps_value_append(p->open[p->depth - 1].container, v);
    else p->root = v;
  } else {
    ps_value_take(v, &(ps_value){.type = (uint8_t)type});
  }
  p->replaced = NULL;
  p->key = NULL;
  p->key_length = 0;
  return v;
}

static int on_null(void *context) {
  parser *p = context;
  return p->unwanted ? skip(p) : add_value(p, PS_NULL) != NULL;
}

static int on_boolean(void *context, int boolean) {
  parser *p = context;
  if (p->unwanted) return skip(p);
  ps_value *v = add_value(p, PS_BOOL);
  if (v) v->as.boolean = boolean != 0;
  return v != NULL;
}

static int add_text(parser *p, ps_value_type type, const char *s, size_t length) {
  ps_value *v = add_value(p, type);
  char *text = v ? ps_arena_strn(p->arena, s, length) : NULL;
  if (!text) return 0;
  v->as.text = text;
  v->length = (uint32_t)length;
  return 1;
}

static int on_number(void *context, const char *s, size_t length) {
  parser *p = context;
  int64_t i;
  if (p->unwanted) return skip(p);
  if (!ps_number_int(s, length, &i)) return add_text(p, PS_NUMBER, s, length);
  ps_value *v = add_value(p, PS_INT);
  if (v) v->as.integer = i;
  return v != NULL;
}

static int on_string(void *context, const unsigned char *s, size_t length) {
  parser *p = context;
  return p->unwanted ? skip(p) : add_text(p, PS_STRING, (const char *)s, length);
}

static int on_key(void *context, const unsigned char *s, size_t length) {
  parser *p = context;
  level *l = &p->open[p->depth - 1];
  const char *key = (const char *)s;
  uint64_t hash = key_hash(s, length);
  if (seen_before(l, hash) && l->container->length <= FEW_KEYS) {
    p->replaced = (ps_value *)(uintptr_t)ps_map_get(l->container, key, length);
    if (p->replaced) return 1;
  }
  known_key *k = &p->known[hash >> 47 & (KEYS - 1)];
  if (!k->key || k->length != length || memcmp(k->key, key, length) != 0) {
    k->key = ps_arena_strn(p->arena, key, length);
    k->length = (uint32_t)length;
  }
  p->key = k->key;
  p->key_length = (uint32_t)length;
  return p->key != NULL;
}

/* The same where not every key is wanted. */
static int on_chosen_key(void *context, const unsigned char *s, size_t length) {
  parser *p = context;
  const level *l = &p->open[p->depth - 1];
  return (l->fields && !choose(p, l, (const char *)s, length)) || on_key(context, s, length);
}

static int open_container(parser *p, ps_value_type type) {
  if (p->depth + p->skipped == PS_VALUE_DEPTH) {
    p->problem = "lists and maps are nested deeper than 128";
    return 0;
  }
  if (p->unwanted) {
    p->skipped++;
    return 1;
  }
  const level *around = p->depth ? &p->open[p->depth - 1] : NULL;
  if (around && around->container->type == PS_LIST) p->fields = around->fields;
  ps_value *v = add_value(p, type);
  level *l = &p->open[p->depth++];
  l->container = v;
  l->fields = p->fields;
  p->fields = NULL;
  memset(l->seen, 0, sizeof l->seen);
  return v != NULL;
}

static int on_map(void *context) { return open_container(context, PS_MAP); }

static int on_list(void *context) { return open_container(context, PS_LIST); }

static int on_end(void *context) {
  parser *p = context;
  if (p->skipped > 0) {
    p->skipped--;
    return skip(p);
  }
  ps_value *v = p->open[--p->depth].container;
  return v->type == PS_LIST || v->length <= FEW_KEYS || drop_duplicates(v);
}

/* ---- Parsing */

/* The code unit of the escape at `s`, -1 if there is none. */
static int read_escape(const char *s, const char *end) {
  if (end - s < 6 || s[0] != '\\' || s[1] != 'u') return -1;
  int unit = 0;
  for (int i = 2; i < 6; i++) {
    int c = s[i] | 0x20, digit = c >= 'a' ? c - 'a' + 10 : s[i] - '0';
    if (digit < 0 || digit > 15 || (c < 'a' && digit > 9)) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/* Two surrogate escapes are one character; one alone is none, and becomes U+FFFD in as many bytes. */
static void replace_lone_surrogates(char *s, const char *end) {
  while (s < end && (s = memchr(s, '\\', (size_t)(end - s)))) {
    int unit = read_escape(s, end);
    bool high = unit >= 0xd800 && unit <= 0xdbff, low = unit >= 0xdc00 && unit <= 0xdfff;
    int next = high ? read_escape(s + 6, end) : -1;
    bool pair = next >= 0xdc00 && next <= 0xdfff;
    if (low || (high && !pair)) memcpy(s + 2, "fffd", 4);
    s += pair ? 12 : unit >= 0 ? 6 : 2;
  }
}

static ps_value *refuse(ps_fault *fault, const char *text, size_t offset, const char *what) {
  size_t line = 1, start = 0;
  for (const char *s = text; (s = memchr(s, '\n', offset - (size_t)(s - text))); line++) start = (size_t)(++s - text);
  int length = (int)strcspn(what, "\n");
  ps_fault_set(fault, PS_ERROR_PROTOCOL, "near line %zu, byte %zu: %.*s", line, offset - start, length, what);
  return NULL;
}

/* What yajl lets pass: `end` is where it stopped. */
static ps_value *check(const parser *p, const char *text, size_t length, size_t end, ps_fault *fault) {
  while (end < length && strchr(" \t\r\n", text[end]) && text[end]) end++;
  if (end < length) return refuse(fault, text, end + 1, "more text behind the value");
  size_t valid = ps_utf8_span(text, length);
  if (valid < length) return refuse(fault, text, valid + 1, "a byte that is not UTF-8");
  const char *odd = memchr(text, '\v', length);
  if (!odd) odd = memchr(text, '\f', length);
  if (odd) return refuse(fault, text, (size_t)(odd - text) + 1, "a vertical tab or form feed");
  return p->root;
}

static ps_value *parse(parser *p, const char *text, size_t length, ps_fault *fault) {
  const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = p->fields ? on_chosen_key : on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_list,
    .yajl_end_array = on_end,
  };
  yajl_alloc_funcs pieces = {piece_new, piece_grow, piece_free, p};
  const unsigned char *bytes = (const unsigned char *)text;
  yajl_handle yajl = yajl_alloc(&callbacks, &pieces, p);
  yajl_config(yajl, yajl_dont_validate_strings, 1);
  yajl_config(yajl, yajl_allow_trailing_garbage, 1);
  yajl_status status = yajl_parse(yajl, bytes, length);
  size_t end = yajl_get_bytes_consumed(yajl);
  if (status == yajl_status_ok && (!p->root || p->depth > 0)) {
    status = yajl_complete_parse(yajl); /* only now a number at the very end is one */
    end = length;
  }
  if (status == yajl_status_ok) return check(p, text, length, end, fault);
  if (status == yajl_status_error) p->problem = (const char *)yajl_get_error(yajl, 0, bytes, length);
  if (p->problem) return refuse(fault, text, end, p->problem);
  ps_fault_memory(fault);
  return NULL;
}

ps_value *ps_json_parse(ps_arena *arena, char *text, size_t length, ps_fault *fault) {
  return ps_json_parse_fields(arena, text, length, NULL, fault);
}

ps_value *ps_json_parse_fields(ps_arena *arena, char *text, size_t length, const ps_value *fields, ps_fault *fault) {
  static const char byte_order_mark[3] = "\xef\xbb\xbf";
  if (length >= sizeof byte_order_mark && memcmp(text, byte_order_mark, sizeof byte_order_mark) == 0) {
    text += sizeof byte_order_mark;
    length -= sizeof byte_order_mark;
  }
  if (length == 0) return refuse(fault, "", 0, "the text is empty");
  if (length >= UINT32_MAX / 2) return refuse(fault, "", 0, "the text is longer than 2 GiB");
  size_t guess = (fields ? length / 2 : 4 * length) + NODES * sizeof(ps_value), pieces = 2 * length + YAJL_EXTRA;
  if (guess > ARENA_MOST) guess = ARENA_MOST;
  bool room = ps_arena_room(arena) > guess / 4 * 3 || ps_arena_reserve(arena, guess);
  parser *p = room ? malloc(sizeof *p + pieces) : NULL;
  if (!p) {
    ps_fault_memory(fault);
    return NULL;
  }
  memset(p, 0, offsetof(parser, open));
  p->arena = arena;
  p->fields = fields;
  p->cut = (char *)(p + 1);
  p->end = p->cut + pieces;
  replace_lone_surrogates(text, text + length);
  ps_value *root = parse(p, text, length, fault);
  free(p);
  return root;
}

ps_value *ps_value_parse(const char *json, size_t length) {
  ps_value *v = ps_value_new();
  ps_fault unread = {.kind = PS_ERROR_NONE}, fault = unread;
  ps_arena *arena = ps_arena_new(length);
  char *text = arena ? ps_arena_strn(arena, json, length) : NULL;
  const ps_value *parsed = text ? ps_json_parse(arena, text, length, &unread) : NULL;
  if (parsed) ps_value_copy(v, parsed);
  else if (unread.kind == PS_ERROR_PROTOCOL) ps_fault_set(&fault, PS_ERROR_USAGE, "not JSON: %s", unread.message);
  else ps_fault_memory(&fault);
  if (!parsed) ps_value_poison(v, &fault);
  ps_arena_free(arena);
  return v;
}

/* ---- Writing */

static void write_escape(ps_buf *out, char c) {
  const char *e = c ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", c) : NULL;
  if (e) ps_buf_format(out, "\\%c", e[1]);
  else ps_buf_format(out, "\\u%04x", (unsigned)c);
}

/* Text that is UTF-8. */
static void write_text(ps_buf *out, const char *s, size_t length) {
  size_t plain = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    ps_buf_add(out, s + plain, i - plain);
    write_escape(out, s[i]);
    plain = i + 1;
  }
  ps_buf_add(out, s + plain, length - plain);
}

void ps_json_write_string(ps_buf *out, const char *s, size_t length) {
  ps_buf_char(out, '"');
  while (length > 0) {
    size_t valid = ps_utf8_span(s, length);
    write_text(out, s, valid);
    if (valid < length) {
      ps_buf_str(out, "\xef\xbf\xbd");
      valid++;
    }
    s += valid;
    length -= valid;
  }
  ps_buf_char(out, '"');
}

static void write_children(ps_buf *out, const ps_value *v) {
  ps_buf_char(out, v->type == PS_MAP ? '{' : '[');
  for (const ps_value *c = ps_first(v); c; c = ps_next(c)) {
    if (v->type == PS_MAP) {
      ps_json_write_string(out, c->key, c->key_length);
      ps_buf_char(out, ':');
    }
    ps_json_write(out, c);
    if (!c->is_last) ps_buf_char(out, ',');
  }
  ps_buf_char(out, v->type == PS_MAP ? '}' : ']');
}

void ps_json_write(ps_buf *out, const ps_value *v) {
  v = ps_get(v, NULL);
  switch ((ps_value_type)v->type) {
    case PS_NULL: ps_buf_str(out, "null"); break;
    case PS_BOOL: ps_buf_str(out, v->as.boolean ? "true" : "false"); break;
    case PS_INT: ps_buf_int(out, v->as.integer); break;
    case PS_NUMBER: ps_buf_add(out, v->as.text, v->length); break;
    case PS_STRING: ps_json_write_string(out, v->as.text, v->length); break;
    case PS_LIST:
    case PS_MAP: write_children(out, v); break;
  }
}

char *ps_json(const ps_value *v, size_t *length) {
  ps_buf text = PS_BUF_INIT;
  ps_json_write(&text, v);
  return ps_buf_take(&text, length);
}
