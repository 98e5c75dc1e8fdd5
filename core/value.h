/* The value tree. Values of a parsed reply lie in the result's arena and are only read; values being built each stand
 * behind a pointer to their tree, which owns the arena and the first fault ("poison").
 *
 *   children form a ring: a container points to its last child, the last one's `next` is the first
 *
 *     map ──last──▶ c ──next──▶ a ──next──▶ b ──next──▶ c
 *
 * so that appending and walking need one pointer each. `is_last` ends a walk. */
#ifndef PS_VALUE_H
#define PS_VALUE_H

#include "arena.h"
#include "buf.h"
#include "error.h"

#define PS_VALUE_DEPTH 128 /* lists and maps inside each other; so recursion over a tree is safe */

struct ps_value {
  struct ps_value *next;
  const char *key; /* NUL-terminated; NULL outside a map */
  union {
    bool boolean;
    int64_t integer;
    const char *text; /* of a string or number; NUL-terminated */
    struct ps_value *last;
  } as;
  uint32_t key_length;
  uint32_t length; /* bytes of text, or the count of children */
  uint8_t type;    /* ps_value_type */
  bool is_last;    /* also outside a container */
  bool built;      /* stands in a slot of a tree */
  uint8_t depth;   /* of a built value: containers around it */
};

/* Whose `type` is PS_NULL: what absent values read as. */
extern const ps_value ps_null_value;

/* Appends `child` to `parent`, which is a list or map. Keys are the caller's. */
static inline void ps_value_append(ps_value *parent, ps_value *child) {
  ps_value *last = parent->as.last;
  child->next = last ? last->next : child;
  child->is_last = true;
  if (last) {
    last->next = child;
    last->is_last = false;
  }
  parent->as.last = child;
  parent->length++;
}

/* Gives `v` the type and content of `from`; its own key and place stay. */
static inline void ps_value_take(ps_value *v, const ps_value *from) {
  v->type = from->type;
  v->as = from->as;
  v->length = from->length;
}

/* The place in `map` that a path of ps_params names, "a[b][0]", made as needed. */
ps_value *ps_value_at_path(ps_value *map, const char *path);
bool ps_value_is_poisoned(const ps_value *v);
/* The fault of a built tree; a kind of PS_ERROR_NONE if it has none. */
const ps_fault *ps_value_fault(const ps_value *v);
/* Poisons the tree of `v`; its first fault stays. */
void ps_value_poison(ps_value *v, const ps_fault *fault);
/* A copy as a tree of its own, to be freed; NULL for NULL. If it is poisoned, `fault` is why, unless it holds another. */
ps_value *ps_value_clone(const ps_value *v, ps_fault *fault);
bool ps_value_is(const ps_value *v, const char *text); /* a string equal to `text` */
/* Whether two values are equal: maps in any order, numbers by their text. */
bool ps_value_equal(const ps_value *a, const ps_value *b);

/* Whether `text` is a number in JSON's syntax, and whether it is one that int64 holds: then `*i` is it. "-0" is not. */
bool ps_number_valid(const char *text, size_t length);
bool ps_number_int(const char *text, size_t length, int64_t *i);
/* The shortest text that reads back as `d`, without exponent and without the locale; an integral one under 2^53 without a
 * fraction, -0 as "0". Nothing for infinity and NaN. */
void ps_number_format(ps_buf *out, double d);

#endif
